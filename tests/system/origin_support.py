"""Origins for tests: a real nginx over a folder, and one whose answers a test writes byte by byte, faults included."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from certificate_support import Authority, Leaf
from link_support import at_home
from node_support import PATIENCE_S, spawn, until


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed * 1_000_003 + size).randbytes(size)


def free_port(address: str = "127.0.0.1") -> int:
    with at_home(), socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


_NGINX = """\
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
  log_format plain '$request_method $request_uri $status $host $http_range';
  access_log {folder}/access.log plain;
  client_body_temp_path {folder}/client_body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  types {{ text/plain txt; audio/mp4 m4s; }}
  default_type application/octet-stream;
  keepalive_requests 100000;
  server {{
    listen {address}:{port};
    {more}
    root {root};
    add_header Cache-Control "max-age=3600";
    location /swr/ {{ add_header Cache-Control "max-age=0, stale-while-revalidate=600"; }}
    location /sie/ {{ add_header Cache-Control "max-age=0, stale-if-error=600"; }}
    location /private/ {{ add_header Cache-Control "no-store"; }}
    location /zip/ {{
      add_header Cache-Control "max-age=3600";
      gzip on; gzip_types text/plain; gzip_vary on; gzip_proxied any; gzip_min_length 100; gzip_http_version 1.1;
    }}
  }}
}}
"""


class Nginx:
    """nginx over `root`; start() and stop() as often as wanted, always on the same port. `more` are further directives of its server."""

    def __init__(self, address: str = "127.0.0.1", more: str = ""):
        self._more = more
        self._folder = tempfile.TemporaryDirectory(prefix="nearfield-nginx-")
        self.folder = Path(self._folder.name)
        self.root = self.folder / "root"
        self.root.mkdir()
        self.address = f"[{address}]" if ":" in address else address
        self._bare_address = address
        self.port = free_port(address)
        self.url = f"http://{self.address}:{self.port}"
        self.process: subprocess.Popen | None = None
        self._markers = 0
        self.start()

    def start(self) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        assert program, "nginx is not installed"
        configuration = self.folder / "nginx.conf"
        # Its workers stay who we are: they read a private folder.
        configuration.write_text(_NGINX.format(user="user root;\n" if os.geteuid() == 0 else "", folder=self.folder, root=self.root,
                                               address=self.address, port=self.port, more=self._more))
        with at_home():
            # Killed, it would leave its worker behind.
            self.process = spawn(program, "-p", self.folder, "-c", configuration, "-e", self.folder / "error.log", death="TERM",
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(self._accepts, "nginx accepts connections")
        except BaseException:
            self.stop()
            raise

    def _accepts(self) -> bool:
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        try:
            with at_home():
                socket.create_connection((self._bare_address, self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def put(self, path: str, data: bytes, mtime: int = 1_700_000_000) -> bytes:
        """A file last modified long ago: its validators are strong (RFC 9110 8.8.2.2)."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        os.utime(place, (mtime, mtime))
        return data

    def log(self, path: str) -> list[list[str]]:
        """[method, path, status, host, range] of the requests for `path` that were answered.

        nginx logs a request after its answer went out. Its one worker does so before it takes up another: a marker in the log says that all
        before it is there.
        """
        if self.process is not None:
            self._markers += 1
            marker = f"/marker-{self._markers}"
            with at_home(), socket.create_connection((self._bare_address, self.port), timeout=PATIENCE_S) as connection:
                connection.sendall(f"HEAD {marker} HTTP/1.0\r\n\r\n".encode())
                while connection.recv(4096):
                    pass
            until(lambda: any(line[1] == marker for line in self._lines()), "nginx logs")
        return [line for line in self._lines() if line[1] == path]

    def _lines(self) -> list[list[str]]:
        return [line.rstrip("\n").split(" ", 4) for line in (self.folder / "access.log").read_text().splitlines(keepends=True) if line.endswith("\n")]

    def close(self) -> None:
        self.stop()
        self._folder.cleanup()


@dataclass
class Asked:
    method: str
    target: str
    fields: list[tuple[str, str]]
    head: bytes
    number: int  # how many requests for this target came before
    connection: socket.socket = field(repr=False)
    body: bytes = b""

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for each, value in self.fields if each.lower() == name.lower())

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, body: bytes = b"", *fields: str, status: str = "200 OK", length: int | None = None, cache: str = "max-age=3600") -> bool:
        """A head with a Content-Length, and the body; True: the connection may be used again."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
        if cache:
            lines.append(f"Cache-Control: {cache}")
        self.send("\r\n".join([*lines, *fields]).encode() + b"\r\n\r\n" + (b"" if self.method == "HEAD" else body))
        return True

    def range_from(self) -> int:
        return int(self["Range"].removeprefix("bytes=").split("-")[0])

    def answer_rest(self, body: bytes, *fields: str) -> bool:
        """206 from the place that was asked for."""
        begin = self.range_from()
        end = self["Range"].rsplit("-", 1)[1]
        last = int(end) if end else len(body) - 1
        return self.answer(body[begin:last + 1], f"Content-Range: bytes {begin}-{last}/{len(body)}", *fields, status="206 Partial Content")

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Asked], object]


class ScriptedOrigin:
    """Answers each target with the function a test gives; a truthy return keeps the connection open."""

    def __init__(self, address: str = "127.0.0.1"):
        self.scripts: dict[str, Script] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        with at_home():
            self._listener = socket.create_server((address, 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{address}:{self.port}"
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, target: str, script: Script) -> str:
        self.scripts[target] = script
        return target

    def to(self, target: str) -> list[Asked]:
        with self._lock:
            return [each for each in self.asked if each.target == target]

    def drop_connections(self) -> None:
        """Every kept connection ends, as at a restart."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # else it listens on as long as _accept() waits
        self._listener.close()
        self.drop_connections()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            for asked in self._requests(connection):
                script = self.scripts.get(asked.target, lambda each: each.answer(b"", status="404 Not Found"))
                if not script(asked):
                    return
        except OSError:
            pass  # the node went: what it does then is what the test looks at
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _requests(self, connection: socket.socket) -> Iterator[Asked]:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = connection.recv(65536)
                if not data:
                    return
                buffer += data
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            fields = [(name, value.strip()) for name, value in (line.split(":", 1) for line in lines[1:])]
            length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
            while len(buffer) < length:
                data = connection.recv(65536)
                if not data:
                    return
                buffer += data
            body, buffer = buffer[:length], buffer[length:]
            with self._lock:
                asked = Asked(method, target, fields, head, sum(each.target == target for each in self.asked), connection, body)
                self.asked.append(asked)
            yield asked


class SecureOrigin(ScriptedOrigin):
    """A ScriptedOrigin behind TLS, which asks for certificates of `clients`. Connections end with close_notify unless `is_rude`."""

    def __init__(self, leaf: Leaf, clients: Authority | None = None):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(leaf.chain, leaf.key)
        if clients:
            self._context.load_verify_locations(clients.file)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self.is_rude = False
        self.farewells = 0  # close_notify of ours, and theirs in answer
        super().__init__()
        self.url = f"https://127.0.0.1:{self.port}"

    def _serve(self, connection: socket.socket) -> None:
        try:
            secure = self._context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True)
        except OSError:
            connection.close()
            return
        with self._lock:
            self._open.discard(connection)
            self._open.add(secure)
        try:
            for asked in self._requests(secure):
                script = self.scripts.get(asked.target, lambda each: each.answer(b"", status="404 Not Found"))
                if not script(asked):
                    break
            if not self.is_rude:
                secure.settimeout(2)
                secure.unwrap()
                self.farewells += 1
        except (OSError, ValueError):  # the node, or drop_connections(), was first
            pass
        finally:
            with self._lock:
                self._open.discard(secure)
            secure.close()
