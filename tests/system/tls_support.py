"""TLS to a node under test: certificates of the test's own authority, a node that listens with them, and OpenSSL and GnuTLS as clients."""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import json
import os
import pty
import re
import ssl
import subprocess
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import link_support
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from link_support import TRANSPORT, dialled
from node_support import PATIENCE_S, Node, until
from origin_support import Nginx
from wire_support import Broken, Wire

NAME = "music.example"
once = pytest.mark.skipif(TRANSPORT == "dpdk", reason="is the same whatever carries the bytes")
_tls_ports = itertools.count(18_001)


# --- certificates ---


@dataclass(frozen=True)
class Leaf:
    chain: Path
    key: Path

    @property
    def public_key_digest(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo, by which Chromium is told to trust it."""
        key = x509.load_pem_x509_certificate(self.chain.read_bytes()).public_key()
        digest = hashes.Hash(hashes.SHA256())
        digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        return digest.finalize()


class Authority:
    """Issues certificates into `folder`; clients trust `file`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nearfield test authority")])
        usage = x509.KeyUsage(digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                              key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
        made = (self._begun(self._name, self._key.public_key(), 365)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
                .sign(self._key, hashes.SHA256()))
        self.file = folder / "ca.pem"
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _begun(self, subject: x509.Name, key, days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=days))
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False))

    def issue(self, *names: str, kind: str = "ecdsa", days: float = 90, to: Leaf | None = None, more: tuple[x509.ExtensionType, ...] = ()) -> Leaf:
        """For DNS names; `kind` is ecdsa (P-256) or rsa (2048 bits). `to`: in the place of another. `more` extensions are not critical."""
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        usage = x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
                              key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False)
        begun = functools.reduce(lambda made, each: made.add_extension(each, critical=False), more, self._begun(subject, key.public_key(), days))
        made = (begun.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(usage, critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
                .sign(self._key, hashes.SHA256()))
        if to is None:
            number = next(self._numbers)
            to = Leaf(self._folder / f"{number}.pem", self._folder / f"{number}.key")
        to.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        with open(to.key, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return to

    def context(self, *, newest: bool = True, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Of a client of Python's that trusts this authority; TLS 1.3 or 1.2, not both."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3 if newest else ssl.TLSVersion.TLSv1_2
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


@pytest.fixture(scope="module")
def ca(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def origin() -> Iterator[Nginx]:
    with contextlib.closing(Nginx()) as server:
        yield server


# --- nodes ---


def tls_table(listen: tuple[str, ...], leaves: list[Leaf], more: str = "") -> str:
    """[tls] of a configuration; `more` are further keys and tables of it."""
    addresses = ", ".join(f'"{each}"' for each in listen)
    listed = ", ".join(f'{{ certificate = "{leaf.chain}", key = "{leaf.key}" }}' for leaf in leaves)
    return f"[tls]\nlisten = [{addresses}]\ncertificates = [{listed}]\n{more}\n"


class TlsNode(Node):
    """Speaks TLS on tls_port, and clear text on port. `tls` are further keys and tables of [tls], `more` further tables."""

    def __init__(self, origins: str, leaves: list[Leaf], tls: str = "", more: str = "", **options):
        # With packets of its own any port of its addresses is its own: one of a kind, so that dialled() knows whose it is.
        listen = (f":{next(_tls_ports)}",) if TRANSPORT == "dpdk" else ("127.0.0.1:0", "[::1]:0")
        super().__init__(origins, f"{more}\n{tls_table(listen, leaves, tls)}", **options)
        ports = [int(address.rsplit(":", 1)[1]) for address in self.status()["tls"]["listen"]]
        self.tls_port, self.tls_port_v6 = ports[0], ports[-1]
        if TRANSPORT == "dpdk":
            link_support._links[self.tls_port] = self.link

    def tls(self) -> dict:
        status, answer = self.call("GET", "/v1/tls")
        assert status == 200, answer
        return answer["tls"]

    def tls_counters(self) -> dict[str, int]:
        return self.tls()["counters"]

    def counted(self, name: str, least: int) -> None:
        """Workers publish what they count now and then."""
        until(lambda: self.tls_counters()[name] >= least, f"{name} reaches {least}")

    def stop(self) -> None:
        link_support._links.pop(getattr(self, "tls_port", None), None)
        super().stop()


def url(port: int, path: str, name: str = NAME) -> str:
    return f"https://{name}:{port}{path}"


def curl(authority: Authority, port: int, path: str, *options: str, name: str = NAME, address: str = "127.0.0.1",
         patience_s: int = 30) -> subprocess.CompletedProcess:
    """The node is found by a name of its certificate."""
    host = dialled(port, address)
    return subprocess.run(["curl", "-sS", "--max-time", str(patience_s), "--cacert", str(authority.file), "--resolve",
                           f"{name}:{port}:{f'[{host}]' if ':' in host else host}", *options, url(port, path, name)],
                          capture_output=True, timeout=patience_s + 10, check=False)


# --- OpenSSL ---


class SslWire(Wire):
    """A connection of Python's, which is OpenSSL's. An end without close_notify is Broken, "end without close_notify"."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str = NAME, *, session: ssl.SSLSession | None = None, **options):
        super().__init__(port, **options)
        plain = self.socket
        try:
            self.socket = context.wrap_socket(plain, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def more(self) -> None:
        try:
            super().more()
        except ssl.SSLEOFError as error:
            raise Broken("end without close_notify") from error

    @property
    def resumed(self) -> bool:
        return bool(self.socket.session_reused)


class Secured:
    """What s_client or gnutls-cli said of a connection."""

    def __init__(self, done: subprocess.CompletedProcess):
        self.code = done.returncode
        self.text = done.stdout.decode("latin-1") + done.stderr.decode("latin-1")
        self.bytes = done.stdout

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.text)
        assert match, f"{pattern!r} is not in:\n{self.text}"
        return match[1] if match.re.groups else match[0]

    def says(self, *patterns: str) -> Secured:
        for pattern in patterns:
            self.found(pattern)
        return self


def get(path: str, *fields: str, name: str = NAME) -> bytes:
    """A request after which the node closes."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {name}", *fields, "Connection: close"]).encode() + b"\r\n\r\n"


def s_client(authority: Authority, port: int, *options: str, send: bytes = b"", name: str | None = NAME) -> Secured:
    """openssl s_client until the node ends the connection; its certificate must be the name's."""
    sni = ["-servername", name, "-verify_hostname", name] if name else ["-noservername"]
    return Secured(subprocess.run(["openssl", "s_client", "-connect", f"{link_support.authority(port)}", "-CAfile", str(authority.file),
                                   "-verify_return_error", *sni, "-ign_eof", *options], input=send, capture_output=True, timeout=40, check=False))


def gnutls(authority: Authority, port: int, *options: str, send: bytes = b"", name: str = NAME) -> Secured:
    return Secured(subprocess.run(["gnutls-cli", "--port", str(port), "--x509cafile", str(authority.file), "--sni-hostname", name,
                                   "--verify-hostname", name, *options, dialled(port)], input=send, capture_output=True, timeout=40, check=False))


class Typing:
    """A program that is typed to, each line when it said something. It speaks to a terminal, else it would keep what it says."""

    def __init__(self, *command: str):
        self._terminal, theirs = pty.openpty()
        tty.setraw(theirs)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, bufsize=0)
        os.close(theirs)
        self.said = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that nobody has any more
            while part := os.read(self._terminal, 65536):
                self.said += part

    def types(self, text: str) -> Typing:
        self.process.stdin.write(text.encode())
        return self

    def says(self, part: str, times: int = 1) -> Typing:
        until(lambda: self.said.count(part.encode()) >= times or self.process.poll() is not None, f"'{part}', {times} times", PATIENCE_S)
        until(lambda: self.said.count(part.encode()) >= times, f"'{part}', {times} times, in:\n{self.said.decode('latin-1')}", 1)
        return self

    def ends(self) -> str:
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return self.said.decode("latin-1")

    def __enter__(self) -> Typing:
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_S)
        self.process.stdin.close()
        os.close(self._terminal)


def json_lines(text: bytes) -> list[dict]:
    return [json.loads(line) for line in text.decode().splitlines() if line.startswith("{")]
