"""TLS 1.2 as records on a socket (RFC 5246, 5288): OpenSSL makes the handshake, and from then on the client says exactly which records it sends."""

from __future__ import annotations

import hmac
import ssl
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

from certificate_support import Authority
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tls_client_support import ALERT, CLOSE_NOTIFY, DATA, MAXIMUM_PLAINTEXT, Alerted, TlsWire
from wire_support import NAME, Broken

SUITE = "ECDHE-ECDSA-AES128-GCM-SHA256"
NO_RENEGOTIATION = 100


def derive(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """PRF of the suite (RFC 5246 5)."""
    out, step = b"", label + seed
    while len(out) < length:
        step = hmac.digest(secret, step, "sha256")
        out += hmac.digest(secret, step + label + seed, "sha256")
    return out[:length]


class Tls12Protection:
    """The records of one direction, from the one behind Finished."""

    def __init__(self, key: bytes, salt: bytes):
        self._aead, self._salt, self.sequence = AESGCM(key), salt, 1

    def seal(self, content: bytes, kind: int = DATA, _padding: int = 0) -> bytes:
        explicit = sequence = self.sequence.to_bytes(8, "big")
        self.sequence += 1
        sealed = self._aead.encrypt(self._salt + explicit, content, sequence + struct.pack("!BHH", kind, 0x0303, len(content)))
        return struct.pack("!BHH", kind, 0x0303, 8 + len(sealed)) + explicit + sealed

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        sequence = self.sequence.to_bytes(8, "big")
        self.sequence += 1
        return header[0], self._aead.decrypt(self._salt + body[:8], body[8:], sequence + header[:3] + struct.pack("!H", len(body) - 24))


def records(data: bytes) -> list[bytes]:
    """Each with its header."""
    found = []
    while data:
        end = 5 + int.from_bytes(data[3:5], "big")
        found.append(data[:end])
        data = data[end:]
    return found


class Tls12Wire(TlsWire):
    """As TlsWire; warnings that are not the end are in `warnings`. `flight` says what is sent in place of the records of the client's second flight:
        ClientKeyExchange, ChangeCipherSpec, Finished. Unless it is `good`, the answer is left to the caller."""

    def __init__(self, port: int, authority: Authority, *, flight: Callable[[bytes, bytes, bytes], bytes] | None = None, good: bool = False,
                 **options):
        super().__init__(port, handshake=False, **options)
        self.warnings: list[int] = []
        self._flight, self._good = flight, good
        try:
            self._agree(authority.context("1.2"))
        except BaseException:
            self.close()
            raise

    def _agree(self, context: ssl.SSLContext) -> None:
        context.set_ciphers(SUITE)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        first = b""
        with tempfile.TemporaryDirectory(prefix="nearfield-test-") as folder:
            secrets = Path(folder) / "secrets"
            context.keylog_filename = str(secrets)
            client = context.wrap_bio(incoming, outgoing, server_hostname=NAME)
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    ours = records(outgoing.read())
                    if self._flight and len(ours) > 1:
                        self.raw(self._flight(*ours))
                        if not self._good:
                            return
                    else:
                        self.raw(b"".join(ours))
                    if not (data := self.socket.recv(65536)):
                        raise Broken("end within the handshake") from None
                    first += data
                    incoming.write(data)
            self.raw(outgoing.read())
            said = next(line.split() for line in secrets.read_text().splitlines() if line.startswith("CLIENT_RANDOM"))
        self._raw = incoming.read()
        master, random = bytes.fromhex(said[2]), bytes.fromhex(said[1])
        block = derive(master, b"key expansion", first[11:43] + random, 40)  # the ServerHello's random is behind 5 + 4 + 2 bytes
        self.sending, self.receiving = Tls12Protection(block[:16], block[32:36]), Tls12Protection(block[16:32], block[36:40])

    def receive(self) -> tuple[int, bytes]:
        while True:
            header = self._raw_exactly(5)
            assert header[1:3] == b"\3\3", header.hex()
            kind, content = self.receiving.open(header, self._raw_exactly(int.from_bytes(header[3:], "big")))
            assert len(content) <= MAXIMUM_PLAINTEXT
            if kind != ALERT:
                return kind, content
            if content[1] == CLOSE_NOTIFY:
                raise Broken("end of stream")
            if content[0] == 2:
                raise Alerted(content[1])
            self.warnings.append(content[1])
            return DATA, b""  # nothing of it for whoever waits for data
