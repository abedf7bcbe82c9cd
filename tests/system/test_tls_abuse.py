"""What no honest client sends over TLS, record by record: each is answered as the RFC says, costs little, and disturbs nobody else."""

from __future__ import annotations

import concurrent.futures
import contextlib
import statistics
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from link_support import authority as authority_of
from node_support import group, until
from origin_support import content
from tls_client_support import (ALERT, CHANGE_CIPHER_SPEC, CLIENT_HELLO, DATA, DECODE_ERROR, HANDSHAKE, HANDSHAKE_FAILURE,
                                ILLEGAL_PARAMETER, KEY_UPDATE, MAXIMUM_PLAINTEXT, MISSING_EXTENSION, NO_APPLICATION_PROTOCOL, PROTOCOL_VERSION,
                                RECORD_OVERFLOW, UNEXPECTED_MESSAGE, Hello, TlsWire, extension, message, record, vector)
from tls_support import NAME, TlsNode, ca, origin  # noqa: F401
from wire_support import Broken, Wire, request

KIB, MIB = 1024, 1024 * 1024
SONG = content(300_000)


@pytest.fixture(scope="module")
def leaf(ca):  # noqa: F811
    return ca.issue(NAME)


@pytest.fixture(scope="module")
def node(origin, leaf):  # noqa: F811
    origin.put("/song", SONG)
    with TlsNode(group(origin.url), [leaf]) as started:
        yield started


@pytest.fixture(autouse=True)
def goes_on(request) -> Iterator[None]:
    """Whatever was done, the node serves the next one."""
    yield
    if "node" in request.fixturenames:
        with TlsWire(request.getfixturevalue("node").tls_port) as wire:
            assert wire.ask("/song").body == SONG


def plain_alert(wire: Wire) -> int:
    """The alert in clear text that a handshake ends with."""
    header = wire.exactly(5)
    assert header[0] == ALERT and header[3:] == b"\0\2", header + wire.buffer
    level, description = wire.exactly(2)
    assert level == 2
    assert wire.is_closed()
    return description


# --- records that are allowed ---


def test_every_size_of_a_record(node):
    """The request is cut into records of the same size, from one byte to all a record can hold."""
    long = request("/song", *(f"X-{number}: {'y' * 900}" for number in range(14)))
    for size in (1, 2, 3, 15, 16, 17, 255, 256, 257, 1000, 4095, 4096, 8191, MAXIMUM_PLAINTEXT - 1, MAXIMUM_PLAINTEXT):
        with TlsWire(node.tls_port) as wire:
            sent = request("/song", "Range: bytes=0-9") if size < 15 else long
            wire.send(sent, size)
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


# --- the end ---


def test_ends_in_the_middle_of_everything(node):
    """At every step of a connection, by FIN and by RST."""
    def begun(wire: TlsWire) -> None:
        wire.raw(record(HANDSHAKE, wire.begin(), 0x0301)[:40])

    def greeted(wire: TlsWire) -> None:
        wire.raw(record(HANDSHAKE, wire.begin(), 0x0301))

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


# --- handshakes ---


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


def test_a_large_client_hello(node):
    """Of a post-quantum client with much to say; to 16 KiB, in several records if it likes."""
    for size in (1000, 4000, 8000):
        for pieces in (1, 2, 5):
            hello = Hello(shares=("X25519MLKEM768", "x25519"), extensions=extension(21, bytes(size)))
            with TlsWire(node.tls_port, hello=hello, handshake=False) as wire:
                whole = wire.begin()
                step = -(-len(whole) // pieces)
                wire.raw(b"".join(record(HANDSHAKE, whole[at:at + step], 0x0301) for at in range(0, len(whole), step)))
                wire.finish(wire.read_flight())
                assert wire.ask("/song", "Range: bytes=0-0").body == SONG[:1]


def hello_with(change: Callable[[bytes], bytes], **options) -> bytes:
    return record(HANDSHAKE, change(Hello(**options).encoded()), 0x0301)


REFUSED = {
    "too large": (lambda: b"".join(record(HANDSHAKE, part, 0x0301) for whole in [Hello(extensions=extension(21, bytes(17_000))).encoded()]
                                   for part in (whole[:16_000], whole[16_000:])), ILLEGAL_PARAMETER),
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


def test_a_change_cipher_spec_where_clients_put_it(node):
    """RFC 8446 D.4: before the second flight, once; it is dropped."""
    with TlsWire(node.tls_port, handshake=False) as wire:
        wire.raw(record(HANDSHAKE, wire.begin(), 0x0301))
        finished = wire.read_flight()
        wire.raw(record(CHANGE_CIPHER_SPEC, b"\1"))
        wire.finish(finished)
        assert wire.ask("/song").body == SONG


def test_a_finished_in_pieces_with_data_behind_it(node):
    """What follows the Finished in the same packet is the connection's."""
    for pieces in (1,):
        with TlsWire(node.tls_port, handshake=False) as wire:
            wire.raw(record(HANDSHAKE, wire.begin(), 0x0301))
            finished = wire.read_flight()
            step = -(-len(finished) // pieces)
            sent = b"".join(wire.sending.seal(finished[at:at + step], HANDSHAKE) for at in range(0, len(finished), step))
            wire.use_application_keys()
            wire.raw(sent + wire.sending.seal(request("/song")))
            assert wire.response().body == SONG


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
    import random

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


# --- floods ---


@pytest.fixture
def limited(ending, origin, leaf):  # noqa: F811
    origin.put("/song", SONG)
    return lambda tls, more="": ending.enter_context(TlsNode(group(origin.url), [leaf], tls, f"[limits]\nconnections = 4000\nconnections_per_prefix = 4000\n{more}"))


def test_a_handshake_that_goes_on_for_ever_expires(limited):
    """Each byte is progress, and none of it counts."""
    node = limited('[tls.handshakes]\ntimeout = "1s"')
    with TlsWire(node.tls_port, handshake=False) as wire:
        begun = time.monotonic()
        with pytest.raises(OSError):
            for byte in record(HANDSHAKE, wire.begin(), 0x0301)[:-1]:
                wire.raw(bytes([byte]))
                time.sleep(0.05)
        assert 0.9 < time.monotonic() - begun < 5
    node.counted("handshakes_expired", 1)


class Flood:
    """Handshakes as fast as a few threads make them, until the block ends: full ones, and ones that stop after the ClientHello."""

    def __init__(self, port: int):
        self._port = port
        self._ended = threading.Event()
        self._hello = record(HANDSHAKE, Hello().encoded(), 0x0301)
        self._threads = [threading.Thread(target=self._half) for _ in range(2)]
        self.count = 0

    def _half(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                wires = [Wire(self._port) for _ in range(8)]
                for wire in wires:
                    wire.send(self._hello)
                self.count += len(wires)
                self._ended.wait(0.03)
                for wire in wires:
                    wire.close()

    def __enter__(self) -> Flood:
        # A client of its own for the full ones, as Python is slow at them.
        self._full = subprocess.Popen(["openssl", "s_time", "-connect", authority_of(self._port), "-new", "-time", "60"],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._full.kill()
        self._full.wait()
        for thread in self._threads:
            thread.join()


def test_a_flood_of_handshakes_does_not_stall_listeners_who_are_there(limited):
    """The helpers are as busy as can be; the workers are not, and who has a connection goes on."""
    node = limited('[tls.helpers]\nthreads = 1\nqueue = 64\nqueue_per_prefix = 48\n[tls.handshakes]\ntimeout = "5s"')

    def times(wire: TlsWire, count: int) -> list[float]:
        taken = []
        for _ in range(count):
            begun = time.monotonic()
            assert wire.ask("/song").body == SONG
            taken.append(time.monotonic() - begun)
        return taken

    with TlsWire(node.tls_port) as wire:
        quiet = statistics.median(times(wire, 30))
        begun = node.tls_counters()["handshakes_begun"]
        with Flood(node.tls_port):
            until(lambda: node.tls_counters()["handshakes_begun"] > begun + 100, "the flood is there")
            flooded = times(wire, 60)
        assert statistics.median(flooded) < 10 * quiet + 0.05, (quiet, statistics.median(flooded))
        assert max(flooded) < 2, sorted(flooded)[-5:]
        assert node.tls_counters()["handshakes_begun"] > begun + 50
        # And a new one gets in when it is over.
        until(lambda: node.tls()["handshakes_open"] == 0, "the flood is gone")
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song").body == SONG


def test_a_queue_that_is_full_refuses_at_once(limited):
    node = limited('[tls.helpers]\nthreads = 1\nqueue = 2\nqueue_per_prefix = 2')
    hello = record(HANDSHAKE, Hello().encoded(), 0x0301)
    with contextlib.ExitStack() as open_:
        for _ in range(4):
            wires = [open_.enter_context(Wire(node.tls_port)) for _ in range(60)]
            for wire in wires:
                wire.send(hello)
            if node.tls_counters()["handshakes_refused_queue"] > 0:
                break
        node.counted("handshakes_refused_queue", 1)
    helpers = node.tls()["helpers"]
    assert helpers["refused_full"] + helpers["refused_prefix"] > 0
    until(lambda: node.tls()["handshakes_open"] == 0, "all are gone")
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song").body == SONG
