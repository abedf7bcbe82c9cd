"""Every rule of RFC 9113 and RFC 7541 that a server can be seen to break: one case each, as raw frames, in the order of the RFCs, in clear
text and within TLS."""

from __future__ import annotations

import contextlib
import functools
import struct

import http2_support as h2
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from http2_support import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Http2,
    fields,
    frame,
)
from node_support import group
from origin_support import ScriptedOrigin, content
from tls_support import TlsNode

SONG = content(100_000)
ACK = h2.ACK


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


@pytest.fixture(scope="module", params=["clear text", "TLS"])
def dial(request, ca, leaf):
    """dial(setting, ...) is a connection to a node."""
    with contextlib.closing(ScriptedOrigin()) as origin:
        origin.on("/song", lambda asked: asked.answer(SONG))
        origin.on("/echo", lambda asked: asked.answer(asked.body, cache="no-store"))
        origin.on("/field", lambda asked: asked.answer(f"{asked['X-Test']}{asked['Accept-Language']}".encode(), cache="no-store"))
        with TlsNode(group(origin.url), [leaf]) as node:
            secure = request.param == "TLS"
            yield functools.partial(Http2, node.tls_port if secure else node.port, context=ca.context() if secure else None)


@pytest.fixture
def peer(dial):
    with dial() as connected:
        yield connected


# --- what must be taken ---


def test_a_request_and_its_whole_response(peer):
    peer.get(1)
    status, head, body = peer.response(1)
    assert (status, body) == (200, SONG)
    assert not {"connection", "transfer-encoding", "keep-alive"} & set(head)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_methods(peer, method):
    peer.get(1, method=method, path="/echo")
    assert peer.response(1)[0] == 200


def test_priority_frames_and_fields_in_any_state(peer):
    peer.send(frame(PRIORITY, 0, 1, u32(0) + b"\x10"))
    block = peer.block(*fields())
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, u32(0) + b"\xff" + block))
    assert peer.response(1)[0] == 200
    peer.send(frame(PRIORITY, 0, 1, u32(0) + b"\x10"))
    peer.is_sound()


def test_padding_continuations_and_unknown_frames_between_streams(peer):
    block = peer.block(*fields())
    peer.send(frame(0x16, 0xFF, 0, b"unknown"),
              frame(HEADERS, END_STREAM | PADDED, 1, b"\x04" + block[:3] + b"\0" * 4), frame(CONTINUATION, 0, 1, block[3:9]),
              frame(CONTINUATION, END_HEADERS, 1, block[9:]))
    assert peer.response(1)[0] == 200


def test_padded_content(peer):
    peer.send(peer.head(1, fields(method="POST", path="/echo"), END_HEADERS), frame(DATA, PADDED | END_STREAM, 1, b"\x03abc\0\0\0"))
    assert peer.response(1)[2] == b"abc"


def test_trailers(peer):
    peer.send(peer.head(1, fields(method="POST", path="/echo"), END_HEADERS), frame(DATA, 0, 1, b"abc"), peer.head(1, [("x", "y")]))
    assert peer.response(1)[2] == b"abc"


def test_pings_are_answered_and_answers_are_not(peer):
    peer.send(frame(PING, ACK, 0, b"ignored!"), frame(PING, 0, 0, b"12345678"))
    got = peer.next()
    assert (got.type, got.flags, got.payload) == (PING, ACK, b"12345678")


@pytest.mark.parametrize(("flags", "stream"), [(0x16, 0), (0x16, 1 << 31)], ids=["flags", "reserved bit"])
def test_bits_without_a_meaning_are_ignored(peer, flags, stream):
    peer.send(frame(PING, flags, stream, b"12345678"))
    got = peer.next()
    assert (got.type, got.flags, got.stream, got.payload) == (PING, ACK, 0, b"12345678")


@pytest.mark.parametrize("code", [h2.CANCEL, 0xFF])
@pytest.mark.parametrize("flags", [END_HEADERS, END_STREAM | END_HEADERS], ids=["open", "half-closed"])
def test_a_request_that_its_listener_resets(peer, flags, code):
    peer.send(peer.head(1, fields(), flags), frame(RST_STREAM, 0, 1, u32(code)), frame(PING, 0, 0, b"12345678"))
    assert peer.await_frame(lambda each: each.type == PING).payload == b"12345678"
    peer.is_sound()


def test_goaway_with_a_code_nobody_knows(peer):
    peer.get(1)
    peer.send(frame(GOAWAY, 0, 0, u32(0) + u32(0xFF) + b"why"))
    assert peer.response(1)[2] == SONG


def test_settings_are_acknowledged_and_unknown_ones_ignored(peer):
    peer.send(h2.settings((0xFF, 1), (h2.MAX_FRAME_SIZE, 1 << 20), (h2.HEADER_TABLE_SIZE, 0)))
    assert peer.next().flags == ACK
    peer.is_sound(1)


def test_the_last_of_repeated_settings_counts(dial):
    with dial((h2.INITIAL_WINDOW_SIZE, 100), (h2.INITIAL_WINDOW_SIZE, 1)) as peer:
        peer.get(1)
        assert len(peer.await_frame(lambda each: each.type == DATA).payload) == 1


def test_windows_may_become_negative_and_grow_again(dial):
    with dial((h2.INITIAL_WINDOW_SIZE, 3)) as peer:
        peer.get(1)
        assert len(peer.await_frame(lambda each: each.type == DATA).payload) == 3
        peer.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 1)), frame(PING, 0, 0, b"between."))
        peer.await_frame(lambda each: each.type == PING)
        peer.send(frame(WINDOW_UPDATE, 0, 1, u32(2)), frame(PING, 0, 0, b"at zero."))
        assert peer.await_frame(lambda each: each.type in (PING, DATA)).type == PING
        peer.send(frame(WINDOW_UPDATE, 0, 1, u32(1)))
        assert len(peer.await_frame(lambda each: each.type == DATA).payload) == 1
        peer.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 2)))
        assert len(peer.await_frame(lambda each: each.type == DATA).payload) == 1


def test_a_window_of_nothing_is_opened_by_settings(dial):
    with dial((h2.INITIAL_WINDOW_SIZE, 0)) as peer:
        peer.get(1)
        peer.await_frame(lambda each: each.type == HEADERS)
        peer.send(frame(PING, 0, 0, b"no data."))
        assert peer.await_frame(lambda each: each.type in (PING, DATA)).type == PING
        peer.send(h2.settings((h2.INITIAL_WINDOW_SIZE, 1)))
        assert len(peer.await_frame(lambda each: each.type == DATA).payload) == 1


def test_content_in_a_frame_as_large_as_may_be(peer):
    peer.send(peer.head(1, fields(method="POST", path="/echo"), END_HEADERS), frame(DATA, END_STREAM, 1, SONG[:16384]))
    assert peer.response(1)[2] == SONG[:16384]


def test_frames_are_no_larger_than_the_listener_takes(peer):
    peer.get(1)
    assert len(peer.await_frame(lambda each: each.type == DATA).payload) <= 16384


def test_window_updates_and_resets_for_a_stream_just_closed(peer):
    peer.get(1)
    peer.response(1)
    peer.send(frame(WINDOW_UPDATE, 0, 1, u32(1)), frame(RST_STREAM, 0, 1, u32(h2.CANCEL)))
    peer.is_sound()


def test_goaway_of_the_listener_ends_the_connection_after_its_streams(peer):
    peer.get(1)
    peer.send(frame(GOAWAY, 0, 0, u32(0) + u32(0)))
    assert peer.response(1)[2] == SONG
    with pytest.raises(h2.Ended):
        peer.next()


def test_te_with_trailers_alone(peer):
    peer.get(1, ("te", "trailers"))
    assert peer.response(1)[0] == 200


# Of RFC 7541: a field as an index into the table, or with a name that is one (Accept-Language is 17) or not, kept (6.2.1), not kept (6.2.2),
# or never to be (6.2.3).


def text(value: bytes, huffman: bool) -> bytes:
    packed = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(value) if huffman else value
    return bytes([len(packed) | (0x80 if huffman else 0)]) + packed


@pytest.mark.parametrize("huffman", [False, True], ids=["plain", "huffman"])
@pytest.mark.parametrize("name", ["indexed name", "new name"])
@pytest.mark.parametrize(("new", "indexed"), [(b"\x40", b"\x51"), (b"\x00", b"\x0f\x02"), (b"\x10", b"\x1f\x02")],
                         ids=["kept", "not kept", "never kept"])
def test_representations_of_a_field(peer, new, indexed, name, huffman):
    head = (b"\x82\x87" if peer.scheme == "https" else b"\x82\x86") + (b"\x04" + text(b"/field", False) + b"\x01\x01a")
    field = (indexed if name == "indexed name" else new + text(b"x-test", huffman)) + text(b"custom", huffman)
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head + field))
    assert peer.response(1)[2] == b"custom"
    if new == b"\x40":  # by its place in the table, the first behind the static one
        peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, head + b"\xbe"))
        assert peer.response(3)[2] == b"custom"


@pytest.mark.parametrize("updates", [b"\x3f\x61", b"\x20\x3f\xe1\x1f", b"\x3f\x61\x3f\xe1\x1f"], ids=["128", "0 and 4096", "128 and 4096"])
def test_table_size_updates_at_the_start_of_a_block(peer, updates):
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, updates + peer.block(*fields())))
    assert peer.response(1)[0] == 200


# --- the preface (3.4) ---


def test_what_only_begins_like_the_preface_is_not_http_2(dial):
    with dial(greet=False) as peer:
        peer.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        if peer.scheme == "http":
            assert peer.socket.recv(100).startswith(b"HTTP/1.1 505")
        else:  # the handshake has agreed on it
            peer.connection_error(h2.PROTOCOL_ERROR)


def test_a_wrong_preface_ends_the_connection(dial):
    with dial(greet=False) as peer:
        peer.send(b"WRONG PREFACE OF A CONNECTION\r\n\r\n")
        if peer.scheme == "http":
            assert peer.socket.recv(100) == b""  # its reader may know nothing of GOAWAY
        else:
            peer.connection_error(h2.PROTOCOL_ERROR)


def test_settings_come_first_from_both(dial):
    with dial(greet=False) as peer:
        peer.send(h2.PREFACE, frame(PING, 0, 0, b"12345678"))
        assert peer.next().type == SETTINGS
        peer.connection_error(h2.PROTOCOL_ERROR)


# --- errors of the connection ---

REQUEST_BLOCK = bytes.fromhex("828684") + b"\x01\x01a"  # GET http / with the authority "a"


def of(peer: Http2, *pieces: bytes) -> list[bytes]:
    """The tables hold requests of clear text."""
    return [each.replace(b"\x82\x86\x84", b"\x82\x87\x84") if peer.scheme == "https" else each for each in pieces]


def case(name: str, codes: tuple[int, ...] | int, *pieces: bytes):
    return pytest.param((codes,) if isinstance(codes, int) else codes, pieces, id=name.replace(" ", "-"))


def pair(key: int, value: int) -> bytes:
    return h2.settings((key, value))


OPEN = frame(HEADERS, END_HEADERS, 1, REQUEST_BLOCK)
ASKED = frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK)
SIZE, PROTOCOL, CLOSED, FLOW, COMPRESSION = (h2.FRAME_SIZE_ERROR, h2.PROTOCOL_ERROR, h2.STREAM_CLOSED, h2.FLOW_CONTROL_ERROR,
                                             h2.COMPRESSION_ERROR)

CONNECTION_ERRORS = [
    case("4.2 headers larger than the frame size", SIZE, frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\0" * 16385)),
    case("4.2 settings larger than the frame size", SIZE, frame(SETTINGS, 0, 0, b"\0" * 16386)),
    case("4.3 broken header block", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x00" * 3 + b"\xff" * 12)),
    case("4.3 header block that ends within a field", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40")),
    case("4.3 priority within a header block", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK), frame(PRIORITY, 0, 1, b"\0" * 5)),
    case("4.3 another stream within a header block", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK),
         frame(HEADERS, END_STREAM | END_HEADERS, 3, REQUEST_BLOCK)),
    case("5.1 data on idle", PROTOCOL, frame(DATA, END_STREAM, 1, b"x")),
    case("5.1 reset on idle", PROTOCOL, frame(RST_STREAM, 0, 1, u32(8))),
    case("5.1 window update on idle", PROTOCOL, frame(WINDOW_UPDATE, 0, 1, u32(1))),
    case("5.1 continuation on idle", PROTOCOL, frame(CONTINUATION, END_HEADERS, 1, b"")),
    case("5.1 continuation after a whole block", PROTOCOL, ASKED, frame(CONTINUATION, END_HEADERS, 1, b"")),
    case("5.1.1 even stream", PROTOCOL, frame(HEADERS, END_STREAM | END_HEADERS, 2, REQUEST_BLOCK)),
    case("5.1.1 number that was left out", PROTOCOL, frame(HEADERS, END_STREAM | END_HEADERS, 5, REQUEST_BLOCK),
         frame(HEADERS, END_STREAM | END_HEADERS, 3, REQUEST_BLOCK)),
    case("5.5 unknown frame within a header block", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK), frame(0x16, 0, 0, b"x")),
    case("6.1 data on stream 0", PROTOCOL, frame(DATA, 0, 0, b"x")),
    case("6.1 data with more padding than payload", PROTOCOL, OPEN, frame(DATA, PADDED | END_STREAM, 1, b"\x06abc")),
    case("6.2 headers on stream 0", PROTOCOL, frame(HEADERS, END_STREAM | END_HEADERS, 0, REQUEST_BLOCK)),
    case("6.2 headers with more padding than payload", PROTOCOL, frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\xff" + REQUEST_BLOCK)),
    case("6.3 priority on stream 0", PROTOCOL, frame(PRIORITY, 0, 0, b"\0" * 5)),
    case("6.4 reset on stream 0", PROTOCOL, frame(RST_STREAM, 0, 0, u32(8))),
    case("6.4 reset of another size", SIZE, OPEN, frame(RST_STREAM, 0, 1, b"\0\0\0")),
    case("6.5 settings acknowledgment with payload", SIZE, frame(SETTINGS, ACK, 0, b"\0" * 6)),
    case("6.5 settings on a stream", PROTOCOL, frame(SETTINGS, 0, 1, b"")),
    case("6.5 settings of another size", SIZE, frame(SETTINGS, 0, 0, b"\0\0\0")),
    case("6.5.2 push neither 0 nor 1", PROTOCOL, pair(h2.ENABLE_PUSH, 2)),
    case("6.5.2 window above the maximum", FLOW, pair(h2.INITIAL_WINDOW_SIZE, 1 << 31)),
    case("6.5.2 frame size below the minimum", PROTOCOL, pair(h2.MAX_FRAME_SIZE, 16383)),
    case("6.5.2 frame size above the maximum", PROTOCOL, pair(h2.MAX_FRAME_SIZE, 1 << 24)),
    case("6.6 push promise from a client", PROTOCOL, OPEN, frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + REQUEST_BLOCK)),
    case("6.7 ping on a stream", PROTOCOL, frame(PING, 0, 1, b"12345678")),
    case("6.7 ping of another size", SIZE, frame(PING, 0, 0, b"123456")),
    case("6.8 goaway on a stream", PROTOCOL, frame(GOAWAY, 0, 1, u32(0) + u32(0))),
    case("6.8 goaway of another size", SIZE, frame(GOAWAY, 0, 0, u32(0))),
    case("6.9 window update of nothing", PROTOCOL, frame(WINDOW_UPDATE, 0, 0, u32(0))),
    case("6.9 window update of another size", SIZE, frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01")),
    case("6.9.1 window above the maximum", FLOW, frame(WINDOW_UPDATE, 0, 0, u32(0x7FFFFFFF)), frame(WINDOW_UPDATE, 0, 0, u32(1))),
    case("6.9.2 settings that put a window above the maximum", FLOW, OPEN, frame(WINDOW_UPDATE, 0, 1, u32(1)),
         pair(h2.INITIAL_WINDOW_SIZE, 0x7FFFFFFF)),
    case("6.10 continuation on stream 0", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK), frame(CONTINUATION, END_HEADERS, 0, b"")),
    case("6.10 continuation of another stream", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK), frame(CONTINUATION, END_HEADERS, 3, b"")),
    case("6.10 headers before the block ends", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK), frame(HEADERS, END_HEADERS, 1, b"")),
    case("6.10 data before the block ends", PROTOCOL, frame(HEADERS, 0, 1, REQUEST_BLOCK), frame(DATA, END_STREAM, 1, b"x")),
    case("6.10 data behind a continuation before the block ends", PROTOCOL, frame(HEADERS, 0, 1, REQUEST_BLOCK), frame(CONTINUATION, 0, 1, b""),
         frame(DATA, END_STREAM, 1, b"x")),
    case("6.10 continuation behind the one that ends the block", PROTOCOL, frame(HEADERS, END_STREAM, 1, REQUEST_BLOCK),
         frame(CONTINUATION, END_HEADERS, 1, b""), frame(CONTINUATION, END_HEADERS, 1, b"")),
    case("7541 2.3.3 index beyond both tables", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\xc6")),
    case("7541 2.3.3 name index beyond both tables", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\x7f\x80\x01\x00")),
    case("7541 4.2 size update at the end of a block", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\x20")),
    case("7541 6.1 index zero", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\x80")),
    case("7541 6.3 size update above the setting", COMPRESSION, frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x3f\xe2\x1f" + REQUEST_BLOCK)),
    case("7541 5.2 padding of huffman text longer than seven bits", COMPRESSION,
         frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")),
    case("7541 5.2 padding of huffman text with zeros", COMPRESSION,
         frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\x00\x85\xf2\xb2\x4a\x87\xff\x83\x49\x50\x90")),
    case("7541 5.2 end of string within huffman text", COMPRESSION,
         frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK + b"\x00\x85\xf2\xb2\x4a\x87\xff\x87\x00\x7f\xff\xff\xfc\x00\x00")),
]


@pytest.mark.parametrize(("codes", "pieces"), CONNECTION_ERRORS)
def test_error_of_the_connection(peer, codes, pieces):
    peer.send(*of(peer, *pieces))
    peer.connection_error(*codes)


# --- errors of a stream ---

STREAM_ERRORS = [
    case("4.2 data larger than the frame size", SIZE, OPEN, frame(DATA, END_STREAM, 1, b"\0" * 16385)),
    case("5.1 data after the end of the request", CLOSED, ASKED, frame(DATA, END_STREAM, 1, b"x")),
    case("5.1 headers after the end of the request", CLOSED, ASKED, frame(HEADERS, END_STREAM | END_HEADERS, 1, REQUEST_BLOCK)),
    case("5.1 data after a reset", CLOSED, OPEN, frame(RST_STREAM, 0, 1, u32(8)), frame(DATA, END_STREAM, 1, b"x")),
    case("5.1 headers after a reset", CLOSED, OPEN, frame(RST_STREAM, 0, 1, u32(8)), ASKED),
    case("5.1 continuation after a reset", (CLOSED, PROTOCOL), OPEN, frame(RST_STREAM, 0, 1, u32(8)), frame(CONTINUATION, END_HEADERS, 1, b"")),
    case("5.3.1 headers that depend on themselves", PROTOCOL,
         frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, u32(1) + b"\x10" + REQUEST_BLOCK)),
    case("5.3.1 priority that depends on itself", PROTOCOL, OPEN, frame(PRIORITY, 0, 1, u32(1) + b"\x10")),
    case("6.3 priority of another size", SIZE, OPEN, frame(PRIORITY, 0, 1, b"\0" * 4)),
    case("6.9 window update of nothing", PROTOCOL, OPEN, frame(WINDOW_UPDATE, 0, 1, u32(0))),
    case("6.9.1 window above the maximum", FLOW, OPEN, frame(WINDOW_UPDATE, 0, 1, u32(0x7FFFFFFF)), frame(WINDOW_UPDATE, 0, 1, u32(1))),
    case("8.1 second head without end of stream", PROTOCOL, OPEN, frame(HEADERS, END_HEADERS, 1, b"\x00\x01x\x01y")),
]


@pytest.mark.parametrize(("codes", "pieces"), STREAM_ERRORS)
def test_error_of_a_stream(peer, codes, pieces):
    peer.send(*of(peer, *pieces))
    peer.stream_error(1, *codes)


@pytest.mark.parametrize(("codes", "piece"), [
    ((CLOSED,), frame(DATA, END_STREAM, 1, b"x")),
    ((CLOSED,), ASKED),
    ((CLOSED, PROTOCOL), frame(CONTINUATION, END_HEADERS, 1, b"")),
], ids=["data", "headers", "continuation"])
def test_frames_after_both_ends(peer, codes, piece):
    peer.get(1)
    peer.response(1)
    peer.send(*of(peer, piece))
    peer.connection_error(*codes)


MALFORMED = {
    "8.2 upper case name": fields(("X-Test", "x")),
    "8.2.1 space in a name": fields(("x test", "x")),
    "8.2.1 colon in a name": fields(("x:test", "x")),
    "8.2.1 empty name": fields(("", "x")),
    "8.2.1 line end in a value": fields(("x", "a\r\nb: c")),
    "8.2.1 nul in a value": fields(("x", "a\0b")),
    "8.2.1 space around a value": fields(("x", " a")),
    "8.2.2 connection": fields(("connection", "keep-alive")),
    "8.2.2 keep-alive": fields(("keep-alive", "1")),
    "8.2.2 proxy-connection": fields(("proxy-connection", "close")),
    "8.2.2 transfer-encoding": fields(("transfer-encoding", "chunked")),
    "8.2.2 upgrade": fields(("upgrade", "h2c")),
    "8.2.2 te other than trailers": fields(("te", "trailers, deflate")),
    "8.3 unknown pseudo field": fields((":test", "x")),
    "8.3 pseudo field of responses": fields((":status", "200")),
    "8.3 pseudo field after a regular one": [("x", "y"), *fields()],
    "8.3 repeated method": fields((":method", "GET")),
    "8.3 repeated scheme": fields((":scheme", "http")),
    "8.3 repeated path": fields((":path", "/")),
    "8.3 repeated authority": fields((":authority", "music.example")),
    "8.3.1 empty path": fields(path=""),
    "8.3.1 path that is none": fields(path="song"),
    "8.3.1 no method": fields(without=":method"),
    "8.3.1 no scheme": fields(without=":scheme"),
    "8.3.1 no path": fields(without=":path"),
    "8.3.1 path with a space": fields(path="/so ng"),
    "8.3.1 user in the authority": fields(authority="user@music.example"),
    "8.3.1 two hosts": fields(("host", "a"), ("host", "b"), without=":authority"),
    "8.3.1 neither authority nor host": fields(without=":authority"),
    "8.5 connect with a path": fields(method="CONNECT"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request(peer, name):
    peer.send(peer.head(1, MALFORMED[name]))
    peer.stream_error(1, PROTOCOL)
    peer.is_sound()


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abcdef",), (b"abc", b"de"), (b"",)], ids=["shorter", "longer", "longer in two frames", "none"])
def test_content_of_another_length_than_declared(peer, pieces):
    peer.send(peer.head(1, fields(("content-length", "4"), method="POST", path="/echo"), END_HEADERS))
    for index, each in enumerate(pieces):
        peer.send(frame(DATA, END_STREAM if index + 1 == len(pieces) else 0, 1, each))
    peer.stream_error(1, PROTOCOL)
    peer.is_sound()


@pytest.mark.parametrize("trailer", [(":path", "/"), (":unknown", "x"), ("X-Upper", "x"), ("connection", "close")])
def test_malformed_trailers(peer, trailer):
    peer.send(peer.head(1, fields(method="POST", path="/echo"), END_HEADERS), frame(DATA, 0, 1, b"abc"), peer.head(1, [trailer]))
    peer.stream_error(1, PROTOCOL)
    peer.is_sound()


# --- what is answered with a status ---


@pytest.mark.parametrize(("status", "pairs"), [
    (400, fields(("host", "other.example"))),
    (414, fields(path="/" + "a" * 9000)),
    (431, fields(("x", "y" * 16_300))),
    (431, fields(*((f"x{number}", "y") for number in range(120)))),
])
def test_refused_with_a_status(peer, status, pairs):
    block = peer.block(*pairs)
    peer.send(frame(HEADERS, END_STREAM, 1, block[:16384]), frame(CONTINUATION, END_HEADERS, 1, block[16384:]))
    assert peer.response(1)[0] == status
    peer.is_sound()


def test_a_request_of_the_other_scheme_is_misdirected(peer):
    peer.get(1, scheme="http" if peer.scheme == "https" else "https")
    assert peer.response(1)[0] == 421
    peer.is_sound()


# --- streams beyond the limit (5.1.2) ---


def test_streams_beyond_the_limit_are_refused(dial):
    with dial((h2.INITIAL_WINDOW_SIZE, 0)) as peer:
        peer.send(*(peer.head(stream, fields()) for stream in range(1, 2 * 101 + 1, 2)))
        # The limit is known, as SETTINGS are acknowledged.
        peer.connection_error(PROTOCOL)


def greeted(dial, *pairs: tuple[int, int]) -> Http2:
    """A connection that does not acknowledge the node's SETTINGS: it need not know their limits yet."""
    peer = dial(greet=False)
    peer.send(h2.PREFACE, h2.settings(*pairs))
    assert peer.next().type == SETTINGS
    return peer


def test_streams_beyond_a_limit_that_is_not_acknowledged_are_refused(dial):
    with greeted(dial, (h2.INITIAL_WINDOW_SIZE, 0)) as peer:
        peer.send(*(peer.head(stream, fields()) for stream in range(1, 2 * 101 + 1, 2)))
        refused = peer.await_frame(lambda each: each.type == RST_STREAM)
        assert (refused.stream, refused.error) == (201, h2.REFUSED_STREAM)
        peer.send(frame(RST_STREAM, 0, 1, u32(h2.CANCEL)), frame(SETTINGS, ACK), peer.head(203, fields(method="HEAD")))
        assert peer.response(203)[0] == 200


# --- frames on the way while a stream is reset (5.1) ---

LATE = (frame(DATA, 0, 1, b"late"), frame(DATA, END_STREAM, 1, b"late"), frame(WINDOW_UPDATE, 0, 1, u32(1)), frame(RST_STREAM, 0, 1, u32(h2.CANCEL)))

RESET_HERE = {
    "content longer than declared": (PROTOCOL, [("content-length", "4")], [frame(DATA, 0, 1, b"abc"), frame(DATA, 0, 1, b"de")]),
    "malformed field": (PROTOCOL, [("connection", "close")], []),
    "repeated path": (PROTOCOL, [(":path", "/")], []),
    "window above the maximum": (FLOW, [], [frame(WINDOW_UPDATE, 0, 1, u32(0x7FFFFFFF))]),
}


@pytest.mark.parametrize("trailers", [False, True], ids=["content", "trailers"])
@pytest.mark.parametrize("name", RESET_HERE)
def test_what_comes_for_a_stream_after_its_reset_is_dropped(peer, name, trailers):
    code, pairs, pieces = RESET_HERE[name]
    peer.send(peer.head(1, fields(*pairs, method="POST", path="/echo"), END_HEADERS), *pieces)
    assert peer.await_frame(lambda each: each.type == RST_STREAM and each.stream == 1).error == code
    # Sent before its listener read that.
    if trailers:
        peer.send(frame(DATA, 0, 1, b"late"), peer.head(1, [("x", "y")]))
    else:
        peer.send(*LATE)
    peer.is_sound()


@pytest.mark.parametrize("at_once", [True, False], ids=["before the resets", "after the resets"])
def test_what_comes_for_refused_streams_is_dropped(dial, at_once):
    """Streams refused between others that are taken, so that their numbers lie below the last."""
    with greeted(dial, (h2.INITIAL_WINDOW_SIZE, 0)) as peer:
        upload = fields(method="POST", path="/echo")
        peer.send(*(peer.head(stream, upload, END_HEADERS) for stream in range(1, 200, 2)))
        # One too many, and a place for the next, three times.
        asked = [peer.head(201, upload, END_HEADERS), frame(RST_STREAM, 0, 1, u32(h2.CANCEL)), peer.head(203, upload, END_HEADERS),
                 peer.head(205, upload, END_HEADERS), frame(RST_STREAM, 0, 3, u32(h2.CANCEL)), peer.head(207, upload, END_HEADERS),
                 peer.head(209, upload, END_HEADERS)]
        late = [frame(DATA, 0, 201, b"late"), frame(DATA, 0, 205, b"late"), frame(DATA, 0, 209, b"late"), peer.head(209, [("x", "y")]),
                peer.head(205, [("x", "y")]), frame(DATA, END_STREAM, 201, b"late")]
        peer.send(*asked, *(late if at_once else []))
        refused = [peer.await_frame(lambda each: each.type == RST_STREAM) for _ in range(3)]
        assert sorted((each.stream, each.error) for each in refused) == [(number, h2.REFUSED_STREAM) for number in (201, 205, 209)]
        if not at_once:
            peer.send(*late)
        peer.send(frame(DATA, END_STREAM, 203, b""), frame(SETTINGS, ACK))
        assert peer.response(203)[0] == 200


def test_an_early_answer_to_a_request_that_goes_on_ends_it(peer):
    peer.send(peer.head(1, fields(("content-length", "100000000"), method="POST", path="/echo"), END_HEADERS))
    assert peer.response(1)[0] == 413
    assert peer.await_frame(lambda each: each.type == RST_STREAM).error == h2.NO_ERROR
    peer.send(frame(DATA, 0, 1, b"late"))
    peer.is_sound()


def test_the_node_lives_on(dial):
    with dial() as peer:
        peer.is_sound(1)
