"""https in tests of configuration: an authority, a client that looks at certificates, a node's files, half-done handshakes, a secure origin."""

from __future__ import annotations

import contextlib
import datetime
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from link_support import Link, Loopback, at_home, dialled
from node_support import group
from wire_support import Broken, Wire, request

NAME = "music.example"


def openssl(*arguments: object, **options) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, errors="replace", timeout=30, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stamp(days: float) -> str:
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


class Authority:
    """Signs certificates, and is trusted by the clients of these tests."""

    def __init__(self, place: Path, name: str = "authority"):
        self.place, self.certificate, self.key = place, place / f"{name}.pem", place / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days", 3650,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.certificate)

    def issue(self, stem: str, *, name: str = NAME, begins: float = -100, ends: float = 90) -> tuple[Path, Path]:
        chain, key, wish = (self.place / f"{stem}{ending}" for ending in (".pem", ".key", ".csr"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-addext",
                f"subjectAltName=DNS:{name},DNS:*.{name}", "-keyout", key, "-out", wish)
        openssl("x509", "-req", "-in", wish, "-CA", self.certificate, "-CAkey", self.key, "-copy_extensions", "copy", "-not_before",
                stamp(begins), "-not_after", stamp(ends), "-out", chain)
        return chain, key


class Secure(Wire):
    """A Wire within TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str = NAME, **options):
        super().__init__(port, **options)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
        except BaseException:
            self.socket.close()
            raise

    def more(self) -> None:
        try:
            super().more()
        except ssl.SSLError as error:
            raise Broken(str(error)) from error

    @property
    def serial(self) -> str:
        return self.socket.getpeercert()["serialNumber"]


class Files:
    """A node's configuration and what it names, in one folder."""

    def __init__(self, place: Path, link: Link | Loopback):
        self.link, self.place = link, place
        self.control, self.config = place / "c", place / "node.toml"
        self.authority = Authority(place)
        self.chain, self.key = self.authority.issue("node")

    def write(self, origin_url: str, *, tls: str = "", more: str = "", origin: str = "", drain: str = "10s", control: Path | None = None) -> Path:
        """`tls` are further keys of [tls], `origin` tables of the group, `more` further tables. Clear text is on IPv6, TLS on IPv4: ports of their own, or the same."""
        self.config.write_text(f"""\
[node]
listen = ["{self.link.listens("[::1]:0")}"]
workers = {self.link.workers(2)}
transport = "{self.link.transport}"
control = "{control or self.control}"
drain_timeout = "{drain}"
[cache]
ram = "64M"
hugepages = false
{group(origin_url, more=origin)}
[tls]
listen = ["{self.link.listens("127.0.0.1:0")}"]
certificates = [{{ certificate = "{self.chain}", key = "{self.key}" }}]
{tls}
{more}
{self.link.configuration()}
""")
        return self.config

    def trusting(self, *, tls12: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def tls_port(node) -> int:
    return int(node.status()["tls"]["listen"][0].rsplit(":", 1)[1])


def tls_counters(node) -> dict[str, int]:
    return node.call("GET", "/v1/tls")[1]["tls"]["counters"]


def metric(node, name: str) -> float:
    text = node.request("GET", "/metrics")[2]
    return float(next(line for line in text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])


def connections_open(node) -> int:
    return node.status()["tls"]["connections_open"]


class Session:
    """What openssl s_client keeps of a session in a file."""

    def __init__(self, files: Files, version: str):
        self.files, self.version, self.file = files, version, files.place / f"session{version}"

    def visit(self, port: int) -> bool:
        """Whether the session was resumed; takes the new ticket along."""
        resume = ["-sess_in", self.file] if self.file.exists() else []
        said = openssl("s_client", "-connect", f"{dialled(port)}:{port}", "-servername", NAME, "-CAfile", self.files.authority.certificate,
                       "-verify_return_error", self.version, "-ign_eof", "-sess_out", self.file, *resume,
                       input=request("/a", "Connection: close").decode())
        assert "HTTP/1.1 200 OK" in said, said
        return re.search(r"^(New|Reused), TLSv1\.[23]", said, re.MULTILINE)[1] == "Reused"


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    half = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME)
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    return outgoing.read()


class Halfway:
    """A handshake that stops behind its first message, and may go on."""

    def __init__(self, port: int, context: ssl.SSLContext):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.secure = context.wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.secure.do_handshake()
        self.socket = socket.create_connection((dialled(port), port), timeout=15)
        self.socket.sendall(self.outgoing.read())

    def run(self, step):
        while True:
            try:
                done = step()
                self.socket.sendall(self.outgoing.read())
                return done
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                data = self.socket.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()

    def finish(self, target: str) -> bytes:
        self.run(self.secure.do_handshake)
        self.run(lambda: self.secure.write(request(target)))
        answer = b""
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            while piece := self.run(lambda: self.secure.read(65536)):
                answer += piece
        return answer


class SecureOrigin:
    """Answers every request over TLS with the name of its certificate."""

    def __init__(self, chain: Path, key: Path, clients: Path | None = None):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain, key)
        if clients:
            self._context.load_verify_locations(clients)
            self._context.verify_mode = ssl.CERT_REQUIRED
        with at_home():
            self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                accepted = self._socket.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), accepted:
                accepted.settimeout(10)
                with self._context.wrap_socket(accepted, server_side=True) as secure:
                    asked = b""
                    while b"\r\n\r\n" not in asked and (piece := secure.recv(65536)):
                        asked += piece
                    if asked:
                        secure.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
                        with contextlib.suppress(OSError):
                            secure.unwrap()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
