"""HTTP/1.1 as bytes on a socket: a client that says exactly what it sends and judges exactly what came back."""

from __future__ import annotations

import socket
import struct
import subprocess
from dataclasses import dataclass, field

from link_support import authority, dialled

NAME = "music.example"  # of which listeners ask


@dataclass
class Response:
    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False  # its framing says that nothing is missing
    framing: str = ""  # length, chunked, close, none
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each.lower() == name.lower()]


def request(target: str = "/", *fields: str, method: str = "GET", host: str = NAME, version: str = "1.1", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Broken(Exception):
    """The peer ended the connection where more was owed."""


class Wire:
    """One connection. The methods wait `timeout_s` at most for each piece."""

    def __init__(self, port: int, address: str = "127.0.0.1", timeout_s: float = 15.0, receive_buffer: int | None = None):
        address = dialled(port, address)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        if receive_buffer is not None:  # before connect: it decides the window
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect((address, port))
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""

    def send(self, data: bytes) -> Wire:
        self.socket.sendall(data)
        return self

    def more(self) -> None:
        try:
            data = self.socket.recv(256 * 1024)
        except ConnectionError as error:
            raise Broken(str(error)) from error
        if not data:
            raise Broken("end of stream")
        self.buffer += data

    def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self.more()
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def exactly(self, count: int) -> bytes:
        pieces, have = [self.buffer], len(self.buffer)
        while have < count:
            self.buffer = b""
            try:
                self.more()
            except Broken:
                self.buffer = b"".join(pieces)
                raise
            pieces.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(pieces)
        self.buffer = whole[count:]
        return whole[:count]

    def head(self) -> Response:
        response = Response()
        while True:
            lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            version, status, *_ = lines[0].split(" ", 2)
            assert version == "HTTP/1.1", lines[0]
            fields = [(name, value.strip()) for name, value in (line.split(":", 1) for line in lines[1:])]
            if 100 <= int(status) < 200:
                response.interim.append((int(status), fields))
                continue
            response.status, response.fields = int(status), fields
            return response

    def response(self, method: str = "GET") -> Response:
        """The next final response; one that breaks off comes back with complete == False."""
        out = self.head()
        pieces: list[bytes] = []
        try:
            if method == "HEAD" or out.status in (204, 304):
                out.framing = "none"
            elif "chunked" in out["Transfer-Encoding"].lower():
                out.framing = "chunked"
                assert "Content-Length" not in out
                while size := int(self.until(b"\r\n"), 16):
                    pieces.append(self.exactly(size))
                    assert self.exactly(2) == b"\r\n"
                while self.until(b"\r\n"):
                    pass
            elif "Content-Length" in out:
                out.framing = "length"
                pieces.append(self.exactly(int(out["Content-Length"])))
            else:
                out.framing = "close"
                pieces.append(self.rest())
            out.complete = True
        except Broken:
            pieces.append(self.buffer)
        out.body = b"".join(pieces)
        return out

    def ask(self, target: str, *fields: str, method: str = "GET", **more) -> Response:
        self.send(request(target, *fields, method=method, **more))
        return self.response(method)

    def rest(self) -> bytes:
        """Everything until the peer ends the connection in order."""
        while True:
            try:
                self.more()
            except Broken as end:
                if str(end) != "end of stream":
                    raise
                data, self.buffer = self.buffer, b""
                return data

    def is_closed(self) -> bool:
        """Waits for the peer's close or reset; nothing more may come."""
        try:
            return self.rest() == b""
        except Broken:
            return True

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def ask(port: int, target: str, *fields: str, address: str = "127.0.0.1", method: str = "GET", **more) -> Response:
    """One request on a connection of its own."""
    with Wire(port, address) as wire:
        return wire.ask(target, *fields, method=method, **more)


def curl(port: int, target: str, *options: str) -> tuple[int, str, bytes]:
    """Status, head and body as curl has them, which believes that it speaks to http://music.example. An incomplete body is curl's error and
    ours."""
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "-D", "/dev/stderr", "--connect-to", f"{NAME}:80:{authority(port)}", *options,
                           f"http://{NAME}{target}"], capture_output=True, timeout=30, check=True)
    head = done.stderr.decode("latin-1")
    return int(head.split()[1]), head, done.stdout


def member(cache_status: str, node: str = "nearfield") -> set[str]:
    """The parameters of this node's member of Cache-Status: {"hit", "ttl=3600"}."""
    for each in cache_status.split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        if name == node:
            return set(parameters)
    return set()
