"""TLS 1.3 as records on a socket (RFC 8446): a client that says exactly which records it sends, and opens each that comes.

It knows X25519, the three AEAD suites, pre-shared keys of tickets and early data. It does not look at certificates: the other clients do. It
does check the server's Finished, so both ends have the same keys and the same transcript.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from wire_support import NAME, Broken, Wire

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS, FINISHED, KEY_UPDATE = 1, 2, 4, 8, 20, 24
CLOSE_NOTIFY, UNEXPECTED_MESSAGE, BAD_RECORD_MAC, RECORD_OVERFLOW = 0, 10, 20, 22
HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR, PROTOCOL_VERSION = 40, 47, 50, 51, 70
MISSING_EXTENSION, NO_APPLICATION_PROTOCOL = 109, 120
MAXIMUM_PLAINTEXT = 2**14
GROUPS = {"x25519": 0x001D, "secp256r1": 0x0017, "X25519MLKEM768": 0x11EC}

# hash, bytes of the key, AEAD
SUITES = {0x1301: ("sha256", 16, AESGCM), 0x1302: ("sha384", 32, AESGCM), 0x1303: ("sha256", 32, ChaCha20Poly1305)}
AES_128, AES_256, CHACHA = SUITES
_RETRY = hashlib.sha256(b"HelloRetryRequest").digest()


class Alerted(Broken):
    """The server ended the connection with a fatal alert."""

    def __init__(self, description: int):
        super().__init__(f"alert {description}")
        self.description = description


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return struct.pack("!BHH", kind, version, len(body)) + body


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def vector(body: bytes, length_bytes: int) -> bytes:
    return len(body).to_bytes(length_bytes, "big") + body


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!H", kind) + vector(body, 2)


def extract(name: str, salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, name)


def expand(name: str, secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of at most one block of the hash (RFC 8446 7.1)."""
    info = struct.pack("!H", length) + vector(b"tls13 " + label.encode(), 1) + vector(context, 1)
    return hmac.digest(secret, info + b"\x01", name)[:length]


class Protection:
    """The records of one direction."""

    def __init__(self, suite: int, secret: bytes):
        self.suite = suite
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        name, key_bytes, aead = SUITES[self.suite]
        self.secret, self.sequence = secret, 0
        self._aead, self._iv = aead(expand(name, secret, "key", b"", key_bytes)), expand(name, secret, "iv", b"", 12)

    def renew(self) -> None:
        """What a KeyUpdate does (RFC 8446 7.2)."""
        self._use(expand(SUITES[self.suite][0], self.secret, "traffic upd", b"", len(self.secret)))

    def _nonce(self) -> bytes:
        nonce = bytes(a ^ b for a, b in zip(self._iv, self.sequence.to_bytes(12, "big")))
        self.sequence += 1
        return nonce

    def seal_inner(self, inner: bytes) -> bytes:
        header = struct.pack("!BHH", DATA, 0x0303, len(inner) + 16)
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def seal(self, content: bytes, kind: int = DATA, padding: int = 0) -> bytes:
        return self.seal_inner(content + bytes([kind]) + bytes(padding))

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        inner = self._aead.decrypt(self._nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]


@dataclass
class Ticket:
    identity: bytes
    secret: bytes  # the pre-shared key
    age_add: int
    lifetime_s: int
    suite: int
    early_data_bytes: int = 0  # that the server is ready to take


@dataclass
class Hello:
    """What a ClientHello says; `extensions` are further ones, encoded."""

    server_name: str | None = NAME
    protocols: tuple[str, ...] = ()
    suites: tuple[int, ...] = (AES_128, AES_256, CHACHA)
    versions: tuple[int, ...] = (0x0304,)
    shares: tuple[str, ...] = ("x25519",)  # those of groups that we do not know are noise of the right length
    modes: tuple[int, ...] = (1,)  # psk_dhe_ke
    ticket: Ticket | None = None
    early_data: bool = False
    extensions: bytes = b""
    legacy_version: int = 0x0303
    random: bytes = field(default_factory=lambda: os.urandom(32))
    session: bytes = field(default_factory=lambda: os.urandom(32))
    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    def share(self, group: str) -> bytes:
        made = {"x25519": self.key.public_key().public_bytes_raw, "secp256r1": lambda: b"\x04" + os.urandom(64),
                "X25519MLKEM768": lambda: os.urandom(1184 + 32)}[group]()
        return struct.pack("!H", GROUPS[group]) + vector(made, 2)

    def encoded(self) -> bytes:
        extensions = b""
        if self.server_name is not None:
            extensions += extension(0, vector(b"\0" + vector(self.server_name.encode(), 2), 2))
        groups = b"".join(struct.pack("!H", GROUPS[name]) for name in dict.fromkeys((*self.shares, "x25519")))
        extensions += extension(10, vector(groups, 2))
        extensions += extension(13, vector(bytes.fromhex("0403080408050401"), 2))
        if self.protocols:
            extensions += extension(16, vector(b"".join(vector(each.encode(), 1) for each in self.protocols), 2))
        if self.versions:
            extensions += extension(43, vector(b"".join(struct.pack("!H", each) for each in self.versions), 1))
            extensions += extension(51, vector(b"".join(map(self.share, self.shares)), 2))
        extensions += extension(45, vector(bytes(self.modes), 1)) + self.extensions
        if self.early_data:
            extensions += extension(42, b"")
        head = struct.pack("!H", self.legacy_version) + self.random + vector(self.session, 1)
        head += vector(b"".join(struct.pack("!H", each) for each in self.suites), 2) + b"\x01\x00"
        if self.ticket is None:
            return message(CLIENT_HELLO, head + vector(extensions, 2))
        name = SUITES[self.ticket.suite][0]
        size = hashlib.new(name).digest_size
        identities = vector(vector(self.ticket.identity, 2) + struct.pack("!I", self.ticket.age_add), 2)  # of the age 0
        whole = lambda binder: message(CLIENT_HELLO, head + vector(extensions + extension(41, identities + vector(vector(binder, 1), 2)), 2))  # noqa: E731
        early = extract(name, b"", self.ticket.secret)
        key = expand(name, expand(name, early, "res binder", hashlib.new(name).digest(), size), "finished", b"", size)
        return whole(hmac.digest(key, hashlib.new(name, whole(bytes(size))[:-size - 3]).digest(), name))


class TlsWire(Wire):
    """A connection that has finished its handshake, unless told to only connect. What it receives besides data is in alerts and tickets."""

    def __init__(self, port: int, address: str = "127.0.0.1", *, hello: Hello | None = None, handshake: bool = True, **options):
        super().__init__(port, address, **options)
        self.hello = hello or Hello()
        self.sending: Protection | None = None
        self.receiving: Protection | None = None
        self.of_handshake: Protection | None = None  # how the server's flight was protected
        self.tickets: list[Ticket] = []
        self.key_updates: list[bool] = []  # whether the server asked for ours
        self.record_sizes: list[int] = []  # of the data that came
        self.resumed = False
        self.protocol = ""
        self.suite = 0
        self.first_flight = b""
        self._raw = b""
        self._messages = b""
        if handshake:
            try:
                self.handshake()
            except BaseException:
                self.close()
                raise

    # --- records ---

    def raw(self, data: bytes) -> TlsWire:
        self.socket.sendall(data)
        return self

    def _raw_exactly(self, count: int) -> bytes:
        while len(self._raw) < count:
            try:
                data = self.socket.recv(256 * 1024)
            except ConnectionError as error:
                raise Broken(str(error)) from error
            if not data:
                raise Broken("end without close_notify" if self._raw == b"" else "end within a record")
            self._raw += data
        taken, self._raw = self._raw[:count], self._raw[count:]
        return taken

    def receive(self) -> tuple[int, bytes]:
        """The next record: its kind and its content in clear text."""
        while True:
            header = self._raw_exactly(5)
            kind, version, length = struct.unpack("!BHH", header)
            assert version in (0x0303, 0x0301) and length <= MAXIMUM_PLAINTEXT + 256, header.hex()
            body = self._raw_exactly(length)
            if kind == CHANGE_CIPHER_SPEC:
                assert body == b"\x01"
                continue
            if kind == DATA:
                assert self.receiving is not None
                kind, body = self.receiving.open(header, body)
                assert len(body) <= MAXIMUM_PLAINTEXT
            if kind == ALERT:
                assert len(body) == 2
                if body[1] == CLOSE_NOTIFY:
                    raise Broken("end of stream")
                assert body[0] == 2, "a warning"
                raise Alerted(body[1])
            return kind, body

    def more(self) -> None:
        kind, content = self.receive()
        if kind == DATA:
            self.record_sizes.append(len(content))
            self.buffer += content
            return
        assert kind == HANDSHAKE, kind
        self._messages += content
        while len(self._messages) >= 4 and len(self._messages) >= 4 + int.from_bytes(self._messages[1:4], "big"):
            self._after_handshake(*self._next_message())

    def send(self, data: bytes, size: int = MAXIMUM_PLAINTEXT) -> TlsWire:
        """In records of `size` bytes."""
        return self.raw(b"".join(self.sending.seal(data[at:at + size]) for at in range(0, len(data), size)))

    def send_record(self, content: bytes, kind: int = DATA, padding: int = 0) -> TlsWire:
        return self.raw(self.sending.seal(content, kind, padding))

    def update_keys(self, requested: bool) -> TlsWire:
        self.send_record(message(KEY_UPDATE, bytes([requested])), HANDSHAKE)
        self.sending.renew()
        return self

    def close_notify(self) -> TlsWire:
        return self.send_record(bytes([1, CLOSE_NOTIFY]), ALERT)

    def hears(self, size: int) -> TlsWire:
        """Waits for that much more data, which stays to be read."""
        size += len(self.buffer)
        while len(self.buffer) < size:
            self.more()
        return self

    def alert(self) -> int:
        """The fatal alert that the server ends the connection with, after whatever data."""
        try:
            while True:
                self.more()
        except Alerted as ended:
            return ended.description

    # --- handshake ---

    def _next_message(self) -> tuple[int, bytes, bytes]:
        """(kind, body, all of it)"""
        while len(self._messages) < 4 or len(self._messages) < 4 + int.from_bytes(self._messages[1:4], "big"):
            kind, content = self.receive()
            assert kind == HANDSHAKE, kind
            self._messages += content
        end = 4 + int.from_bytes(self._messages[1:4], "big")
        whole, self._messages = self._messages[:end], self._messages[end:]
        return whole[0], whole[4:], whole

    def begin(self) -> bytes:
        """The ClientHello's message; nothing is sent."""
        self.first_flight = self.hello.encoded()
        return self.first_flight

    def send_hello(self) -> TlsWire:
        """Sends the ClientHello in one record."""
        return self.raw(record(HANDSHAKE, self.begin(), 0x0301))

    def handshake(self) -> TlsWire:
        self.send_hello()
        if self.hello.early_data:
            name = SUITES[self.hello.ticket.suite][0]
            early = extract(name, b"", self.hello.ticket.secret)
            self.sending = Protection(self.hello.ticket.suite,
                                      expand(name, early, "c e traffic", hashlib.new(name, self.first_flight).digest(), hashlib.new(name).digest_size))
            self.send(b"GET /early HTTP/1.1\r\nHost: music.example\r\n\r\n")
        self.finish(self.read_flight())
        return self

    def read_flight(self) -> bytes:
        """What the server says up to its Finished; returns our Finished, which is to be sent."""
        kind, body, server_hello = self._next_message()
        assert kind == SERVER_HELLO and body[:2] == b"\x03\x03", kind
        assert body[2:34] != _RETRY, "this client has no second hello"
        at = 35 + body[34]
        assert body[35:at] == self.hello.session
        self.suite, compression, length = struct.unpack_from("!HBH", body, at)
        assert compression == 0
        share = b""
        extensions = body[at + 5:at + 5 + length]
        while extensions:
            what, size = struct.unpack_from("!HH", extensions)
            data, extensions = extensions[4:4 + size], extensions[4 + size:]
            if what == 51:
                assert struct.unpack_from("!H", data)[0] == GROUPS["x25519"]
                share = data[4:]
            elif what == 41:
                assert data == b"\0\0"
                self.resumed = True
            else:
                assert (what, data) == (43, b"\x03\x04"), what
        assert share, "no key share: not (EC)DHE"
        self._name = name = SUITES[self.suite][0]
        size = hashlib.new(name).digest_size
        nothing = hashlib.new(name).digest()
        transcript = hashlib.new(name, self.first_flight + server_hello)
        early = extract(name, b"", self.hello.ticket.secret if self.resumed else bytes(size))
        secret = extract(name, expand(name, early, "derived", nothing, size), self.hello.key.exchange(X25519PublicKey.from_public_bytes(share)))
        ours, theirs = (expand(name, secret, label, transcript.digest(), size) for label in ("c hs traffic", "s hs traffic"))
        assert not self._messages
        self.receiving = Protection(self.suite, theirs)
        while True:
            kind, body, whole = self._next_message()
            if kind == FINISHED:
                break
            if kind == ENCRYPTED_EXTENSIONS:
                self._read_extensions(body[2:])
            transcript.update(whole)
        assert body == hmac.digest(expand(name, theirs, "finished", b"", size), transcript.digest(), name)
        transcript.update(whole)
        self._master = extract(name, expand(name, secret, "derived", nothing, size), bytes(size))
        at_server_finished = transcript.digest()
        assert not self._messages
        self.of_handshake = self.receiving
        self.receiving = Protection(self.suite, expand(name, self._master, "s ap traffic", at_server_finished, size))
        self._application = expand(name, self._master, "c ap traffic", at_server_finished, size)
        self.sending = Protection(self.suite, ours)
        finished = message(FINISHED, hmac.digest(expand(name, ours, "finished", b"", size), at_server_finished, name))
        transcript.update(finished)
        self._resumption = expand(name, self._master, "res master", transcript.digest(), size)
        return finished

    def finish(self, finished: bytes) -> None:
        self.send_record(finished, HANDSHAKE)
        self.use_application_keys()

    def use_application_keys(self) -> None:
        self.sending = Protection(self.suite, self._application)

    def _read_extensions(self, extensions: bytes) -> None:
        while extensions:
            what, size = struct.unpack_from("!HH", extensions)
            if what == 16:
                self.protocol = extensions[7:4 + size].decode()
            assert what != 42, "the server took early data"
            extensions = extensions[4 + size:]

    def _after_handshake(self, kind: int, body: bytes, _: bytes) -> None:
        if kind == KEY_UPDATE:
            assert body in (b"\0", b"\1") and not self._messages
            self.key_updates.append(body == b"\1")
            self.receiving.renew()
            return
        assert kind == NEW_SESSION_TICKET, kind
        lifetime, age_add, nonce_bytes = struct.unpack_from("!IIB", body)
        nonce, rest = body[9:9 + nonce_bytes], body[9 + nonce_bytes:]
        identity_bytes = struct.unpack_from("!H", rest)[0]
        size = len(self._resumption)
        self.tickets.append(Ticket(rest[2:2 + identity_bytes], expand(self._name, self._resumption, "resumption", nonce, size), age_add, lifetime,
                                   self.suite))
