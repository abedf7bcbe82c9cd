"""Records of TLS 1.2 that no honest client sends, and odd ones that are allowed, as RFC 5246 and 5288 say; and renegotiation, which is declined."""

from __future__ import annotations

import contextlib
import os

import pytest
from tls12_support import NO_RENEGOTIATION, Tls12Wire
from tls_abuse_support import SONG, ends_with, flipped, goes_on, node  # noqa: F401
from tls_client_support import (ALERT, BAD_RECORD_MAC, CHANGE_CIPHER_SPEC, DATA, DECODE_ERROR, HANDSHAKE, ILLEGAL_PARAMETER,
                                KEY_UPDATE, MAXIMUM_PLAINTEXT, PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE, Alerted, Hello, message,
                                record)
from wire_support import Broken, request


@pytest.fixture
def connect(ending, node, ca):
    return lambda **options: ending.enter_context(Tls12Wire(node.tls_port, ca, **options))


def test_every_size_of_a_record(connect):
    long = request("/song", *(f"X-{number}: {'y' * 900}" for number in range(14)))
    for size in (1, 2, 15, 16, 17, 255, 256, 1000, 8191, MAXIMUM_PLAINTEXT - 1, MAXIMUM_PLAINTEXT):
        wire = connect()
        wire.send(request("/song", "Range: bytes=0-9") if size < 15 else long, size)
        assert wire.response().body == (SONG[:10] if size < 15 else SONG), size


def test_empty_records_between_others(connect):
    """RFC 5246 6.2.1 allows them of data."""
    wire = connect()
    for byte in request("/song"):
        wire.send_record(b"").send_record(bytes([byte]))
    assert wire.response().body == SONG


def test_a_nonce_is_the_clients_choice(connect):
    """RFC 5288 3: it goes with the record, and need not be the sequence number."""
    wire = connect()
    asked = request("/song")
    nonce, sequence = os.urandom(8), wire.sending.sequence.to_bytes(8, "big")
    sealed = wire.sending._aead.encrypt(wire.sending._salt + nonce, asked, sequence + b"\x17\3\3" + len(asked).to_bytes(2, "big"))
    wire.raw(record(DATA, nonce + sealed))
    assert wire.response().body == SONG


def test_warnings_are_passed_over(connect):
    wire = connect()
    for description in (90, 41, 112):
        wire.send_record(bytes([1, description]), ALERT)
        assert wire.ask("/song", "Range: bytes=5-9").body == SONG[5:10]


REFUSED = {
    "plaintext of 2^14+1": (lambda wire: wire.send_record(bytes(MAXIMUM_PLAINTEXT + 1)), RECORD_OVERFLOW),
    "ciphertext of 2^16-1": (lambda wire: wire.raw(b"\x17\3\3\xff\xff"), RECORD_OVERFLOW),
    "a flipped bit of the nonce": (lambda wire: wire.raw(flipped(wire.sending.seal(b"GET"), 6)), BAD_RECORD_MAC),
    "a flipped bit of the text": (lambda wire: wire.raw(flipped(wire.sending.seal(b"GET"), 13)), BAD_RECORD_MAC),
    "a flipped bit of the tag": (lambda wire: wire.raw(flipped(wire.sending.seal(b"GET"), -1)), BAD_RECORD_MAC),
    "another type": (lambda wire: wire.raw(bytes([HANDSHAKE]) + wire.sending.seal(b"GET")[1:]), BAD_RECORD_MAC),
    "twice the same": (lambda wire: wire.raw(2 * wire.sending.seal(b"GET")), BAD_RECORD_MAC),
    "one missing": (lambda wire: (wire.sending.seal(b"G"), wire.send(b"ET")), BAD_RECORD_MAC),
    "shorter than nonce and tag": (lambda wire: wire.raw(record(DATA, bytes(23))), DECODE_ERROR),
    "empty": (lambda wire: wire.raw(record(DATA, b"")), DECODE_ERROR),
    "another version": (lambda wire: wire.raw(record(DATA, bytes(100), 0x0301)), PROTOCOL_VERSION),
    "an alert in clear text": (lambda wire: wire.raw(record(ALERT, b"\1\0")), DECODE_ERROR),
    "change_cipher_spec in clear text": (lambda wire: wire.raw(record(CHANGE_CIPHER_SPEC, b"\1")), UNEXPECTED_MESSAGE),
    "change_cipher_spec": (lambda wire: wire.send_record(b"\1", CHANGE_CIPHER_SPEC), UNEXPECTED_MESSAGE),
    "an unknown type": (lambda wire: wire.send_record(b"\1", 80), UNEXPECTED_MESSAGE),
    "an empty alert": (lambda wire: wire.send_record(b"", ALERT), DECODE_ERROR),
    "an alert of level 3": (lambda wire: wire.send_record(b"\3\0", ALERT), ILLEGAL_PARAMETER),
    "an empty message": (lambda wire: wire.send_record(b"", HANDSHAKE), UNEXPECTED_MESSAGE),
    "HelloRequest": (lambda wire: wire.send_record(message(0, b""), HANDSHAKE), UNEXPECTED_MESSAGE),
    "Finished": (lambda wire: wire.send_record(message(20, bytes(12)), HANDSHAKE), UNEXPECTED_MESSAGE),
    "KeyUpdate": (lambda wire: wire.send_record(message(KEY_UPDATE, b"\0"), HANDSHAKE), UNEXPECTED_MESSAGE),
    "a ClientHello of 16 MiB": (lambda wire: wire.send_record(b"\1\xff\xff\xff", HANDSHAKE), DECODE_ERROR),
    "data within a ClientHello": (lambda wire: wire.send_record(b"\1\0\1\0abc", HANDSHAKE).send(b"GET"), UNEXPECTED_MESSAGE),
    "many empty records": (lambda wire: wire.raw(b"".join(wire.sending.seal(b"") for _ in range(40))), UNEXPECTED_MESSAGE),
    "many warnings": (lambda wire: wire.raw(b"".join(wire.sending.seal(b"\1\x5a", ALERT) for _ in range(40))), UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_record_ends_the_connection_with_its_alert(node, connect, what):
    sent, alert = REFUSED[what]
    before = node.tls_counters()["records_refused"]
    wire = connect()
    assert wire.ask("/song", "Range: bytes=0-0").body == SONG[:1]
    sent(wire)
    ends_with(wire, alert)
    node.counted("records_refused", before + 1)


def hello() -> bytes:
    return Hello(versions=(), suites=(0xC02B,)).encoded()


@pytest.mark.parametrize("pieces", [1, 3])
def test_renegotiation_is_declined_and_the_connection_goes_on(connect, pieces):
    """Three times; who insists is no listener (RFC 5246 7.2.2)."""
    wire = connect()
    for times in range(1, 4):
        whole = hello()
        step = -(-len(whole) // pieces)
        for at in range(0, len(whole), step):
            wire.send_record(whole[at:at + step], HANDSHAKE)
        assert wire.ask("/song").body == SONG
        assert wire.warnings == times * [NO_RENEGOTIATION]
    wire.send_record(hello(), HANDSHAKE)
    ends_with(wire, UNEXPECTED_MESSAGE)


def test_renegotiation_within_a_download_and_a_request(connect):
    wire = connect(receive_buffer=16 * 1024)
    wire.send(request("/song")).send_record(hello(), HANDSHAKE)
    assert wire.response().body == SONG
    asked = request("/song")
    wire.send(asked[:10]).send_record(hello(), HANDSHAKE).send(asked[10:])
    assert wire.response().body == SONG
    assert wire.warnings == 2 * [NO_RENEGOTIATION]


def test_many_renegotiations_in_one_packet(connect):
    wire = connect()
    wire.raw(b"".join(wire.sending.seal(hello(), HANDSHAKE) for _ in range(50)))
    ends_with(wire, UNEXPECTED_MESSAGE)
    assert len(wire.warnings) <= 3


def test_an_end_with_and_without_close_notify(node, connect):
    before = node.tls_counters()["truncated"]
    wire = connect()
    wire.send(request("/song")).close_notify()
    assert wire.response().body == SONG
    with pytest.raises(Broken, match="end of stream"):
        wire.more()
    wire = connect()
    wire.raw(wire.sending.seal(b"GET")[:-3]).socket.shutdown(1)
    with contextlib.suppress(Broken):
        wire.more()
    wire = connect()
    wire.send_record(b"\2\x50", ALERT)
    with pytest.raises(Broken) as ended:
        wire.more()
    assert not isinstance(ended.value, Alerted)
    node.counted("truncated", before + 1)
