"""Handshakes of TLS 1.3 that no honest client makes, and odd ones that are allowed: ClientHellos and what should be the client's Finished."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidTag
from node_support import until
from tls_abuse_support import SONG, ends_with, goes_on, node, plain_alert  # noqa: F401
from tls_client_support import (ALERT, BAD_RECORD_MAC, CHANGE_CIPHER_SPEC, CLIENT_HELLO, DATA, DECODE_ERROR, DECRYPT_ERROR, HANDSHAKE,
                                HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, KEY_UPDATE, MAXIMUM_PLAINTEXT, MISSING_EXTENSION, NO_APPLICATION_PROTOCOL,
                                PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE, Hello, TlsWire, extension, message, record, vector)
from wire_support import Broken, Wire, request

MAXIMUM_CLIENT_HELLO = 16 * 1024


# --- ClientHellos ---


def test_a_client_hello_cut_at_every_byte(node):
    """Over records: cut in two, RFC 8446 5.1 lets it be; over packets it is nobody's business."""
    hello = Hello().encoded()
    cuts = sorted({*range(1, 48), *range(48, len(hello), 7), len(hello) - 1})
    for cut in cuts:
        with TlsWire(node.tls_port, handshake=False) as wire:
            wire.first_flight = wire.begin()
            whole = wire.first_flight
            cut = min(cut, len(whole) - 1)
            wire.raw(record(HANDSHAKE, whole[:cut], 0x0301) + record(HANDSHAKE, whole[cut:], 0x0301))
            wire.finish(wire.read_flight())
            assert wire.ask("/song", "Range: bytes=0-0").body == SONG[:1]


def test_a_client_hello_of_one_byte_in_each_record_and_packet(node):
    with TlsWire(node.tls_port, handshake=False) as wire:
        wire.raw(b"".join(record(HANDSHAKE, bytes([byte]), 0x0301) for byte in wire.begin()))
        wire.finish(wire.read_flight())
        assert wire.ask("/song").body == SONG
    with TlsWire(node.tls_port, handshake=False) as wire:
        for byte in record(HANDSHAKE, wire.begin(), 0x0301):
            wire.raw(bytes([byte]))
        wire.finish(wire.read_flight())
        assert wire.ask("/song").body == SONG


def hello_of(size: int, **options) -> Hello:
    """With padding (RFC 7685) to that size of its message."""
    hello = Hello(**options)
    hello.extensions = extension(21, bytes(size - len(hello.encoded()) - 4))
    return hello


def test_a_large_client_hello(node):
    """Of a post-quantum client with much to say; to 16 KiB, in several records if it likes."""
    for size in (2000, 5000, 10_000, MAXIMUM_CLIENT_HELLO):
        for pieces in (1, 2, 5):
            with TlsWire(node.tls_port, hello=hello_of(size, shares=("X25519MLKEM768", "x25519")), handshake=False) as wire:
                whole = wire.begin()
                assert len(whole) == size
                step = -(-len(whole) // pieces)
                wire.raw(b"".join(record(HANDSHAKE, whole[at:at + step], 0x0301) for at in range(0, len(whole), step)))
                wire.finish(wire.read_flight())
                assert wire.ask("/song", "Range: bytes=0-0").body == SONG[:1]


def hello_with(change: Callable[[bytes], bytes], **options) -> bytes:
    return record(HANDSHAKE, change(Hello(**options).encoded()), 0x0301)


REFUSED = {
    "too large": (lambda: b"".join(record(HANDSHAKE, part, 0x0301) for whole in [hello_of(MAXIMUM_CLIENT_HELLO + 1).encoded()]
                                   for part in (whole[:16_000], whole[16_000:])), ILLEGAL_PARAMETER),
    "too large, only its header": (lambda: record(HANDSHAKE, hello_of(MAXIMUM_CLIENT_HELLO + 1).encoded()[:4]), ILLEGAL_PARAMETER),
    "a length of 16 MiB": (lambda: record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(100)), ILLEGAL_PARAMETER),
    "a record too long": (lambda: b"\x16\x03\x01\x40\x01", RECORD_OVERFLOW),
    "an empty record": (lambda: record(HANDSHAKE, b""), UNEXPECTED_MESSAGE),
    "another message first": (lambda: record(HANDSHAKE, message(2, bytes(50))), UNEXPECTED_MESSAGE),
    "data within": (lambda: record(HANDSHAKE, Hello().encoded()[:50]) + record(DATA, bytes(50)), UNEXPECTED_MESSAGE),
    "change_cipher_spec within": (lambda: record(HANDSHAKE, Hello().encoded()[:50]) + record(CHANGE_CIPHER_SPEC, b"\1"), UNEXPECTED_MESSAGE),
    "two messages in the record": (lambda: hello_with(lambda whole: whole + whole), UNEXPECTED_MESSAGE),
    "extensions cut off": (lambda: hello_with(lambda whole: message(CLIENT_HELLO, whole[4:-7])), DECODE_ERROR),
    "more than its extensions": (lambda: hello_with(lambda whole: message(CLIENT_HELLO, whole[4:] + b"x")), DECODE_ERROR),
    "no suites": (lambda: hello_with(lambda whole: whole, suites=()), DECODE_ERROR),
    "suites nobody has": (lambda: hello_with(lambda whole: whole, suites=(0x13FF,)), HANDSHAKE_FAILURE),
    "SSL 2.0": (lambda: b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37), PROTOCOL_VERSION),
    "SSL 3.0": (lambda: hello_with(lambda whole: whole, versions=(), legacy_version=0x0300), PROTOCOL_VERSION),
    "TLS 1.0": (lambda: hello_with(lambda whole: whole, versions=(), legacy_version=0x0301), PROTOCOL_VERSION),
    "TLS 1.1": (lambda: hello_with(lambda whole: whole, versions=(), legacy_version=0x0302), PROTOCOL_VERSION),
    "only TLS 1.1 among versions": (lambda: hello_with(lambda whole: whole, versions=(0x0302, 0x0301)), PROTOCOL_VERSION),
    "protocols nobody has": (lambda: hello_with(lambda whole: whole, protocols=("imap", "x" * 255)), NO_APPLICATION_PROTOCOL),
    "an empty protocol": (lambda: hello_with(lambda whole: whole, extensions=extension(16, vector(b"\0", 2))), DECODE_ERROR),
    "a share of the wrong length": (lambda: hello_with(lambda whole: whole.replace(b"\x00\x1d\x00\x20", b"\x00\x1d\x00\x1f"), protocols=()), None),
    "compression": (lambda: hello_with(lambda whole: whole[:whole.index(b"\x13\x03\x01\x00") + 3] + b"\x01" + whole[whole.index(b"\x13\x03\x01\x00") + 4:]),
                    ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_client_hello_is_refused_with_its_alert(node, what):
    made, alert = REFUSED[what]
    with Wire(node.tls_port) as wire:
        wire.send(made())
        found = plain_alert(wire)
        assert found == alert if alert is not None else found in (ILLEGAL_PARAMETER, DECODE_ERROR, HANDSHAKE_FAILURE, MISSING_EXTENSION), found


def test_a_share_that_gives_no_secret_is_refused(node):
    """The points of small order of X25519 (RFC 8446 7.4.2, RFC 7748 6.1): whatever is multiplied with them is zero."""
    for share in (bytes(32), b"\1" + bytes(31), bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")):
        with Wire(node.tls_port) as wire:
            whole = Hello().encoded()
            at = whole.index(b"\x00\x1d\x00\x20") + 4
            wire.send(record(HANDSHAKE, whole[:at] + share + whole[at + 32:], 0x0301))
            assert DATA not in kinds(wire)


def kinds(wire: Wire) -> list[int]:
    """The types of the records until the end."""
    with contextlib.suppress(Broken):
        while True:
            wire.more()
    found = []
    while wire.buffer:
        found.append(wire.buffer[0])
        wire.exactly(5 + int.from_bytes(wire.buffer[3:5], "big"))
    return found


# --- the second flight ---


def test_a_change_cipher_spec_where_clients_put_it(node):
    """RFC 8446 D.4: before the second flight, once; it is dropped."""
    with TlsWire(node.tls_port, handshake=False) as wire:
        wire.send_hello()
        finished = wire.read_flight()
        wire.raw(record(CHANGE_CIPHER_SPEC, b"\1"))
        wire.finish(finished)
        assert wire.ask("/song").body == SONG


def test_a_finished_in_pieces_with_data_behind_it(node):
    """What follows the Finished in the same packet is the connection's."""
    for size in (36, 20, 4):
        with TlsWire(node.tls_port, handshake=False) as wire:
            wire.send_hello()
            finished = wire.read_flight()
            sent = b"".join(wire.sending.seal(finished[at:at + size], HANDSHAKE) for at in range(0, len(finished), size))
            wire.use_application_keys()
            wire.raw(sent + wire.sending.seal(request("/song")))
            assert wire.response().body == SONG


SECOND_FLIGHTS = {
    "a wrong Finished": (lambda wire, finished: wire.send_record(finished[:-1] + bytes([finished[-1] ^ 1]), HANDSHAKE), DECRYPT_ERROR),
    "a short Finished": (lambda wire, finished: wire.send_record(message(20, finished[4:-1]), HANDSHAKE), DECODE_ERROR),
    "Finished in clear text": (lambda wire, finished: wire.raw(record(HANDSHAKE, finished)), BAD_RECORD_MAC),
    "Finished under keys to come": (lambda wire, finished: (wire.use_application_keys(), wire.send_record(finished, HANDSHAKE)), BAD_RECORD_MAC),
    "data in its place": (lambda wire, _: wire.send_record(b"GET / HTTP/1.1\r\n\r\n"), UNEXPECTED_MESSAGE),
    "KeyUpdate in its place": (lambda wire, _: wire.send_record(message(KEY_UPDATE, b"\0"), HANDSHAKE), UNEXPECTED_MESSAGE),
    "KeyUpdate in its record": (lambda wire, finished: wire.send_record(finished + message(KEY_UPDATE, b"\0"), HANDSHAKE), UNEXPECTED_MESSAGE),
    "ClientHello in its place": (lambda wire, _: wire.send_record(wire.first_flight, HANDSHAKE), UNEXPECTED_MESSAGE),
    "a spoilt record": (lambda wire, _: wire.raw(record(DATA, os.urandom(60))), BAD_RECORD_MAC),
    "data between its halves": (lambda wire, finished: wire.send_record(finished[:9], HANDSHAKE).send_record(b"x"), None),
    "an empty record": (lambda wire, _: wire.raw(record(DATA, b"")), None),
    "an empty message": (lambda wire, _: wire.send_record(b"", HANDSHAKE), None),
    "change_cipher_spec of 2": (lambda wire, _: wire.raw(record(CHANGE_CIPHER_SPEC, b"\2")), None),
    "change_cipher_spec of two bytes": (lambda wire, _: wire.raw(record(CHANGE_CIPHER_SPEC, b"\1\1")), None),
    "an unknown type": (lambda wire, _: wire.raw(record(80, bytes(30))), None),
    "a record too long": (lambda wire, _: wire.raw(record(DATA, bytes(MAXIMUM_PLAINTEXT + 257))), None),
}


def refusal(wire: TlsWire, sent: Callable[[TlsWire, bytes], object]) -> list[int]:
    """What the node says to that in place of the client's Finished: its alerts, under the keys of its first flight or those that follow."""
    wire.send_hello()
    sent(wire, wire.read_flight())
    alerts = []
    while True:
        try:
            header = wire._raw_exactly(5)
            body = wire._raw_exactly(int.from_bytes(header[3:], "big"))
        except Broken:
            return alerts
        assert header[:3] == b"\x17\3\3"
        try:
            kind, content = wire.receiving.open(header, body)
        except InvalidTag:
            wire.receiving.sequence -= 1
            kind, content = wire.of_handshake.open(header, body)
        if kind == ALERT:
            assert content[0] == 2
            alerts.append(content[1])


@pytest.mark.parametrize("what", SECOND_FLIGHTS)
def test_a_bad_second_flight_is_refused(node, what):
    """Which alert of several that fit is the library's choice where none is named here."""
    sent, alert = SECOND_FLIGHTS[what]
    with TlsWire(node.tls_port, handshake=False) as wire:
        said = refusal(wire, sent)[0]
        assert said == alert if alert is not None else said in (UNEXPECTED_MESSAGE, BAD_RECORD_MAC, DECODE_ERROR, RECORD_OVERFLOW), said


def test_a_bad_second_flight_is_refused_with_one_alert_that_the_client_can_open(node):
    """Behind its Finished the node has the application's keys (RFC 8446 A.2), and an alert is the last that it says (6.2)."""
    with TlsWire(node.tls_port, handshake=False) as wire:
        wire.send_hello()
        wire.send_record(message(20, bytes(len(wire.read_flight()) - 4)), HANDSHAKE)
        ends_with(wire, DECRYPT_ERROR)


@pytest.mark.parametrize("sent", [lambda wire: wire.close_notify(), lambda wire: wire.send_record(b"\2\x28", ALERT)], ids=["close_notify", "an alert"])
def test_a_client_that_gives_up_gets_no_answer(node, sent):
    before = node.tls_counters()["handshakes_failed"]
    with TlsWire(node.tls_port, handshake=False) as wire:
        assert refusal(wire, lambda wire, _: sent(wire)) == []
    node.counted("handshakes_failed", before + 1)


# --- noise and ends ---


@pytest.mark.parametrize("sent", [b"\0", b"\r\n\r\n", b"\x16", b"\x16\x03", b"\x16\x03\x01", b"SSH-2.0-x\r\n", bytes(1000), b"\xff" * 5000,
                                  b"\x15\x03\x01\x00\x02\x02\x28", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"], ids=repr)
def test_garbage(node, sent):
    with Wire(node.tls_port) as wire:
        with contextlib.suppress(OSError):
            wire.send(sent)
            wire.socket.shutdown(1)
        with contextlib.suppress(Broken):
            assert len(wire.rest()) < 500


def test_seeded_garbage_after_good_beginnings(node):
    """Any prefix of a good client's bytes, then noise: the node ends the connection, and only that."""
    dice = random.Random(4)
    for _ in range(120):
        with TlsWire(node.tls_port, handshake=False, timeout_s=5) as wire:
            with contextlib.suppress(OSError, Broken):
                hello = bytearray(record(HANDSHAKE, wire.begin(), 0x0301))
                for _ in range(dice.choice((0, 1, 1, 2, 8))):
                    hello[dice.randrange(5, len(hello))] = dice.randrange(256)
                wire.raw(bytes(hello[:dice.choice((len(hello), len(hello), dice.randrange(len(hello))))]))
                wire.raw(dice.randbytes(dice.randrange(300)))
                wire.socket.shutdown(1)
                with contextlib.suppress(AssertionError):
                    while True:
                        wire.receive()


def test_ends_in_the_middle_of_everything(node):
    """At every step of a connection, by FIN and by RST."""
    def begun(wire: TlsWire) -> None:
        wire.raw(record(HANDSHAKE, wire.begin(), 0x0301)[:40])

    def greeted(wire: TlsWire) -> None:
        wire.send_hello()

    def answered(wire: TlsWire) -> None:
        greeted(wire)
        wire.read_flight()

    def asked(wire: TlsWire) -> None:
        wire.handshake().send(request("/song"))

    for step in (lambda wire: None, begun, greeted, answered, lambda wire: wire.handshake(), asked):
        for way in ("close", "reset"):
            for _ in range(3):
                wire = TlsWire(node.tls_port, handshake=False)
                step(wire)
                getattr(wire, way)()
    until(lambda: node.tls()["handshakes_open"] == 0 and node.tls()["connections_open"] == 0, "all are gone")
