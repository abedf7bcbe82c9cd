"""HTTP/2 as bytes on a socket: a client that writes any frame, right or wrong, and says what came back. The hpack package only
packs fields; nothing here knows the rules that are tested."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass

from hpack import Decoder, Encoder
from link_support import dialled
from wire_support import NAME

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL,
 COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)


@dataclass
class Frame:
    type: int
    flags: int
    stream: int
    payload: bytes

    @property
    def error(self) -> int:
        """Of GOAWAY and RST_STREAM."""
        return struct.unpack(">I", self.payload[4:8] if self.type == GOAWAY else self.payload[:4])[0]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """`length` lies about the payload's."""
    return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def fields(*more: tuple[str, str], method: str = "GET", path: str = "/song", scheme: str = "", authority: str = NAME,
           without: str = "") -> list[tuple[str, str]]:
    """Of a request; an empty scheme is that of the connection on which it is sent."""
    pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    return [each for each in pseudo if each[0] != without] + list(more)


class Ended(Exception):
    """The connection is over."""


class Http2:
    """One connection, in clear text or, with a context, within TLS. Writes the preface and SETTINGS, and acknowledges those of the node,
    unless told not to."""

    def __init__(self, port: int, *pairs: tuple[int, int], greet: bool = True, timeout_s: float = 15.0, context: ssl.SSLContext | None = None):
        self.socket = socket.create_connection((dialled(port, "127.0.0.1"), port), timeout=timeout_s)
        self.scheme = "http"
        self.encoder, self.decoder = Encoder(), Decoder()
        self.buffer = b""
        try:
            if context is not None:
                self.scheme = "https"
                context.set_alpn_protocols(["h2"])
                self.socket = context.wrap_socket(self.socket, server_hostname=NAME, suppress_ragged_eofs=False)
            if greet:
                self.send(PREFACE, settings(*pairs))
                assert self.next().type == SETTINGS
                self.send(frame(SETTINGS, ACK))
                self.await_frame(lambda each: each.type == SETTINGS and each.flags & ACK)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        # A node that has ended the connection already is what some tests want; what it said is read afterwards.
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"".join(pieces))

    def block(self, *pairs: tuple[str, str]) -> bytes:
        return self.encoder.encode([(name, value or self.scheme) if name == ":scheme" else (name, value) for name, value in pairs], huffman=False)

    def head(self, stream: int, pairs: list[tuple[str, str]], flags: int = END_STREAM | END_HEADERS) -> bytes:
        return frame(HEADERS, flags, stream, self.block(*pairs))

    def get(self, stream: int, *more: tuple[str, str], **how: str) -> None:
        self.send(self.head(stream, fields(*more, **how)))

    def _fill(self, count: int) -> None:
        while len(self.buffer) < count:
            try:
                data = self.socket.recv(65536)
            except ConnectionError as error:
                raise Ended from error
            if not data:
                raise Ended
            self.buffer += data

    def next(self) -> Frame:
        self._fill(9)
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        self._fill(9 + length)
        payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
        return Frame(kind, flags, stream & 0x7FFFFFFF, payload)

    def await_frame(self, wanted) -> Frame:
        while True:
            got = self.next()
            if wanted(got):
                return got
            assert got.type != GOAWAY, f"GOAWAY with {got.error} instead"

    def response(self, stream: int) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and content of a stream to its end. An interim head counts as a field ":interim"."""
        body, answer = b"", {}
        while True:
            got = self.next()
            assert got.type != GOAWAY or got.error == NO_ERROR, f"GOAWAY with {got.error}"
            if got.type == HEADERS:
                head = dict(self.decoder.decode(got.payload))
                if head[":status"].startswith("1"):
                    head = {":interim": head[":status"]}
                answer |= head
            elif got.type == DATA:
                body += got.payload
                if got.payload and not got.flags & END_STREAM:
                    update = struct.pack(">I", len(got.payload))
                    self.send(frame(WINDOW_UPDATE, 0, stream, update), frame(WINDOW_UPDATE, 0, 0, update))
            elif got.type == RST_STREAM and got.stream == stream:
                raise AssertionError(f"stream {stream} was reset with {got.error}")
            if got.type in (HEADERS, DATA) and got.stream == stream and got.flags & END_STREAM:
                return int(answer.get(":status", 0)), answer, body

    def is_sound(self, stream: int = 99) -> None:
        """The connection still answers."""
        self.get(stream)
        assert self.response(stream)[0] == 200

    def connection_error(self, *codes: int) -> None:
        """GOAWAY with one of these codes, then the end: no reset, which could overtake it."""
        said = None
        try:
            while True:
                got = self.next()
                if got.type == GOAWAY:
                    said = got.error
        except Ended as ended:
            assert ended.__cause__ is None, f"reset after {said}"
        assert said in codes, f"GOAWAY says {said}, not one of {codes}"

    def stream_error(self, stream: int, *codes: int) -> None:
        """RST_STREAM with one of these codes, or the connection ends with one: what is an error of the stream may be made one of
        the connection (RFC 9113 5.4.1)."""
        try:
            while True:
                got = self.next()
                if got.type == GOAWAY or (got.type == RST_STREAM and got.stream == stream):
                    assert got.error in codes, f"{got.error}, not one of {codes}"
                    return
        except Ended as error:
            raise AssertionError("ended without a word") from error
