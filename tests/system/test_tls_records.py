"""Records of TLS 1.3 that no honest client sends, and odd ones that are allowed: each is answered as RFC 8446 says, costs little, and disturbs
nobody else. tests/system/test_tls12_records.py is the same of TLS 1.2."""

from __future__ import annotations

import contextlib
import os

import pytest
from node_support import group, until
from origin_support import content
from tls_abuse_support import KIB, MIB, SONG, ends_with, flipped, goes_on, node  # noqa: F401
from tls_client_support import (ALERT, BAD_RECORD_MAC, CHANGE_CIPHER_SPEC, DATA, DECODE_ERROR, HANDSHAKE, ILLEGAL_PARAMETER, KEY_UPDATE,
                                MAXIMUM_PLAINTEXT, PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE, TlsWire, message, record)
from tls_support import TlsNode
from wire_support import Broken, request

# --- records that are allowed ---


def test_every_size_of_a_record(node):
    """The request is cut into records of the same size, from one byte to all a record can hold."""
    long = request("/song", *(f"X-{number}: {'y' * 900}" for number in range(14)))
    for size in (1, 2, 3, 15, 16, 17, 255, 256, 257, 1000, 4095, 4096, 8191, MAXIMUM_PLAINTEXT - 1, MAXIMUM_PLAINTEXT):
        with TlsWire(node.tls_port) as wire:
            wire.send(request("/song", "Range: bytes=0-9") if size < 15 else long, size)
            answer = wire.response()
            assert answer.complete and answer.body == (SONG[:10] if size < 15 else SONG), size


def test_records_that_arrive_byte_by_byte(node):
    with TlsWire(node.tls_port) as wire:
        sealed = wire.sending.seal(request("/song", "Range: bytes=5-9"))
        for byte in sealed:
            wire.raw(bytes([byte]))
        assert wire.response().body == SONG[5:10]


def test_many_requests_in_one_record_and_many_records_in_one_packet(node):
    with TlsWire(node.tls_port) as wire:
        asked = b"".join(request("/song", f"Range: bytes={number}-{number + 9}") for number in range(50))
        wire.send(asked)
        assert [wire.response().body for _ in range(50)] == [SONG[number:number + 10] for number in range(50)]
        wire.send(asked, 7)
        assert [wire.response().body for _ in range(50)] == [SONG[number:number + 10] for number in range(50)]


def test_empty_and_padded_records(node):
    """RFC 8446 5.4."""
    with TlsWire(node.tls_port) as wire:
        for padding in (0, 1, 255, MAXIMUM_PLAINTEXT):
            wire.send_record(b"", padding=padding)
        asked = request("/song", "Range: bytes=0-99")
        for padding in (0, 1, 100, MAXIMUM_PLAINTEXT - len(asked)):
            wire.send_record(asked, padding=padding)
            wire.send_record(b"")
            assert wire.response().body == SONG[:100]


def test_a_warning_that_is_none_is_passed_over(node):
    """user_canceled (RFC 8446 6.1)."""
    with TlsWire(node.tls_port) as wire:
        wire.send_record(bytes([1, 90]), ALERT)
        assert wire.ask("/song").body == SONG


# --- records that are not ---


CHANGED = {
    "plaintext of 2^14+1": (lambda wire: wire.send_record(bytes(MAXIMUM_PLAINTEXT + 1)), RECORD_OVERFLOW),
    "padding beyond 2^14+1": (lambda wire: wire.send_record(b"a", padding=MAXIMUM_PLAINTEXT), RECORD_OVERFLOW),
    "ciphertext of 2^14+257": (lambda wire: wire.raw(record(DATA, bytes(MAXIMUM_PLAINTEXT + 257))), RECORD_OVERFLOW),
    "ciphertext of 2^16-1": (lambda wire: wire.raw(record(DATA, b"")[:3] + b"\xff\xff"), RECORD_OVERFLOW),
    "a flipped bit of the text": (lambda wire: wire.raw(flipped(wire.sending.seal(b"GET"), 5)), BAD_RECORD_MAC),
    "a flipped bit of the tag": (lambda wire: wire.raw(flipped(wire.sending.seal(b"GET"), -1)), BAD_RECORD_MAC),
    "noise": (lambda wire: wire.raw(record(DATA, os.urandom(20))), BAD_RECORD_MAC),
    "twice the same": (lambda wire: wire.raw(2 * wire.sending.seal(b"GET")), BAD_RECORD_MAC),
    "one missing": (lambda wire: (wire.sending.seal(b"G"), wire.send(b"ET")), BAD_RECORD_MAC),
    "one byte missing": (lambda wire: wire.raw(wire.sending.seal(b"GET")[:-1]).send(b"GET"), BAD_RECORD_MAC),
    "shorter than a tag": (lambda wire: wire.raw(record(DATA, bytes(16))), DECODE_ERROR),
    "empty": (lambda wire: wire.raw(record(DATA, b"")), DECODE_ERROR),
    "another version": (lambda wire: wire.raw(record(DATA, bytes(100), 0x0302)), PROTOCOL_VERSION),
    "only padding": (lambda wire: wire.raw(wire.sending.seal_inner(bytes(50))), UNEXPECTED_MESSAGE),
    "unknown inner type": (lambda wire: wire.send_record(b"x", 99), UNEXPECTED_MESSAGE),
    "inner change_cipher_spec": (lambda wire: wire.send_record(b"\1", CHANGE_CIPHER_SPEC), UNEXPECTED_MESSAGE),
    "handshake in clear text": (lambda wire: wire.raw(record(HANDSHAKE, message(KEY_UPDATE, b"\0"))), UNEXPECTED_MESSAGE),
    "alert in clear text": (lambda wire: wire.raw(record(ALERT, b"\1\0")), UNEXPECTED_MESSAGE),
    "change_cipher_spec after Finished": (lambda wire: wire.raw(record(CHANGE_CIPHER_SPEC, b"\1")), UNEXPECTED_MESSAGE),
    "unknown outer type": (lambda wire: wire.raw(record(80, bytes(30))), UNEXPECTED_MESSAGE),
    "empty handshake": (lambda wire: wire.send_record(b"", HANDSHAKE), UNEXPECTED_MESSAGE),
    "empty alert": (lambda wire: wire.send_record(b"", ALERT), DECODE_ERROR),
    "two alerts in one record": (lambda wire: wire.send_record(2 * bytes([1, 90]), ALERT), DECODE_ERROR),
    "ClientHello": (lambda wire: wire.send_record(wire.first_flight, HANDSHAKE), UNEXPECTED_MESSAGE),
    "CertificateRequest": (lambda wire: wire.send_record(message(13, bytes(8)), HANDSHAKE), UNEXPECTED_MESSAGE),
    "NewSessionTicket": (lambda wire: wire.send_record(message(4, bytes(20)), HANDSHAKE), UNEXPECTED_MESSAGE),
    "second Finished": (lambda wire: wire.send_record(message(20, bytes(32)), HANDSHAKE), UNEXPECTED_MESSAGE),
    "HelloRequest": (lambda wire: wire.send_record(message(0, b""), HANDSHAKE), UNEXPECTED_MESSAGE),
    "KeyUpdate of 2": (lambda wire: wire.send_record(message(KEY_UPDATE, b"\2"), HANDSHAKE), ILLEGAL_PARAMETER),
    "KeyUpdate of two bytes": (lambda wire: wire.send_record(message(KEY_UPDATE, b"\0\0"), HANDSHAKE), DECODE_ERROR),
    "two KeyUpdates in one record": (lambda wire: wire.send_record(2 * message(KEY_UPDATE, b"\0"), HANDSHAKE), UNEXPECTED_MESSAGE),
    "data within a handshake message": (lambda wire: wire.send_record(message(KEY_UPDATE, b"\0")[:3], HANDSHAKE).send(b"GET"), UNEXPECTED_MESSAGE),
    "many empty records": (lambda wire: wire.raw(b"".join(wire.sending.seal(b"") for _ in range(100))), UNEXPECTED_MESSAGE),
    "many warnings": (lambda wire: wire.raw(b"".join(wire.sending.seal(bytes([1, 90]), ALERT) for _ in range(100))), UNEXPECTED_MESSAGE),
    "many KeyUpdates": (lambda wire: [wire.update_keys(False) for _ in range(33)], UNEXPECTED_MESSAGE),
    "a KeyUpdate in pieces without end": (lambda wire: [wire.send_record(part, HANDSHAKE) for part in (b"\x18\0", b"")], UNEXPECTED_MESSAGE),
    "old keys after KeyUpdate": (lambda wire: wire.send_record(message(KEY_UPDATE, b"\0"), HANDSHAKE).send(b"GET"), BAD_RECORD_MAC),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_bad_record_ends_the_connection_with_its_alert(node, what):
    sent, alert = CHANGED[what]
    before = node.tls_counters()["records_refused"]
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song", "Range: bytes=0-0").body == SONG[:1]
        sent(wire)
        ends_with(wire, alert)
    node.counted("records_refused", before + 1)


def test_a_bad_record_within_a_download_ends_it(node, origin):
    """The alert comes after what was promised already, not after all of it."""
    origin.put("/large", content(12 * MIB))
    with TlsWire(node.tls_port, receive_buffer=16 * KIB) as wire:
        wire.send(request("/large"))
        wire.hears(100 * KIB)
        wire.raw(record(DATA, bytes(100)))
        ends_with(wire, BAD_RECORD_MAC)
        assert sum(wire.record_sizes) < 8 * MIB


# --- KeyUpdate ---


def test_keys_renewed_between_requests(node):
    before = node.tls_counters()
    with TlsWire(node.tls_port) as wire:
        for number in range(60):
            wire.update_keys(number % 2 == 0)
            assert wire.ask("/song", f"Range: bytes={number}-{number}").body == SONG[number:number + 1]
        assert wire.key_updates == 30 * [False]
    node.counted("key_updates_received", before["key_updates_received"] + 60)
    node.counted("key_updates_sent", before["key_updates_sent"] + 30)


def test_a_flood_of_key_updates_ends(node):
    for requested in (False, True):
        with TlsWire(node.tls_port) as wire:
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    wire.update_keys(requested)
            # What was not read resets the connection, and the alert may go with it.
            with pytest.raises((Broken, ConnectionError)):
                while True:
                    wire.more()
            assert len(wire.key_updates) <= (33 if requested else 0)


def test_key_updates_with_a_client_that_does_not_read(node, origin):
    """The answers have no place to go: they are one answer (RFC 8446 4.6.3), not a queue."""
    data = origin.put("/large", content(12 * MIB))
    with TlsWire(node.tls_port, receive_buffer=16 * KIB) as wire:
        wire.send(request("/large"))
        for number in range(300):
            wire.update_keys(True)
            if number % 16 == 0:
                wire.send(request("/song", "Range: bytes=0-0"))  # something useful between them
        assert wire.response().body == data
        for _ in range(19):
            assert wire.response().body == SONG[:1]
        assert len(wire.key_updates) < 300


# --- the end ---


def test_an_end_with_and_without_close_notify(ending, origin, leaf):
    """On a node where nothing else ended: what is counted is counted later."""
    node = ending.enter_context(TlsNode(group(origin.url), [leaf]))
    origin.put("/song", SONG)
    for first in (b"", request("/song"), request("/song")[:20]):
        with TlsWire(node.tls_port) as wire:
            wire.send(first).close_notify()
            if len(first) > 20:
                assert wire.response().body == SONG
            assert not wire.rest().startswith(b"HTTP/1.1 200")  # and that the end is as it should be
    for cut in (lambda wire: b"", lambda wire: b"\x17\x03", lambda wire: wire.sending.seal(b"GET / HTTP/1.1\r\n")[:-3]):
        with TlsWire(node.tls_port) as wire:
            assert wire.ask("/song").body == SONG
            wire.raw(cut(wire))
            wire.socket.shutdown(1)
            with contextlib.suppress(Broken):
                while True:
                    wire.more()
    node.counted("truncated", 3)
    until(lambda: node.tls()["connections_open"] == 0, "all are gone")
    assert node.tls_counters()["truncated"] == 3


@pytest.mark.parametrize("description", [10, 20, 48, 80, 100, 255])
@pytest.mark.parametrize("level", [1, 2])
def test_an_alert_of_the_clients_ends(node, level, description):
    """Whatever its level says (RFC 8446 6); nothing is answered."""
    before = node.tls_counters()["alerts_received"]
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song", "Range: bytes=0-0").body == SONG[:1]
        wire.send_record(bytes([level, description]), ALERT)
        with pytest.raises(Broken):
            wire.more()
    node.counted("alerts_received", before + 1)


def test_half_closed_and_still_answered(node):
    """Our direction is closed, the node's not (RFC 8446 6.1): by the protocol, and by TCP as well."""
    for with_tcp in (False, True):
        with TlsWire(node.tls_port) as wire:
            wire.send(request("/song"))
            wire.close_notify()
            if with_tcp:
                wire.socket.shutdown(1)
            answer = wire.response()
            assert answer.complete and answer.body == SONG
            with pytest.raises(Broken, match="end of stream"):
                wire.more()


def test_what_follows_close_notify_is_not_read(node):
    with TlsWire(node.tls_port) as wire:
        wire.send(request("/song")).close_notify().send(request("/song")).raw(os.urandom(100))
        assert wire.response().body == SONG
        with pytest.raises(Broken, match="end of stream"):
            wire.more()
