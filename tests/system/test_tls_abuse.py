"""Handshakes in such numbers as no honest clients begin: they are bounded and expire, and stall nobody who is there already."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
import time

import pytest
from link_support import authority as authority_of
from node_support import group, until
from tls_abuse_support import KIB, SONG
from tls_client_support import HANDSHAKE, Hello, TlsWire, record
from tls_support import TlsNode
from wire_support import Wire


@pytest.fixture
def limited(ending, origin, leaf):
    origin.put("/song", SONG)
    room = "[limits]\nconnections = 4000\nconnections_per_prefix = 4000"
    return lambda tls: ending.enter_context(TlsNode(group(origin.url), [leaf], tls, room))


def test_half_done_handshakes_of_one_prefix_are_bounded_and_expire(limited):
    """Whatever they have said of their hello, or in how many pieces."""
    node = limited('[tls.handshakes]\ntimeout = "6s"\ntotal = 300\nper_prefix = 200')
    before = node.resident_bytes()
    hello = Hello().encoded()
    said = (b"", record(HANDSHAKE, hello, 0x0301)[:100], record(HANDSHAKE, hello, 0x0301),
            b"".join(record(HANDSHAKE, hello[at:at + 1], 0x0301) for at in range(len(hello) - 1)))
    with contextlib.ExitStack() as open_:
        waiting = []
        for number in range(400):
            with contextlib.suppress(OSError):  # refused
                waiting.append(open_.enter_context(Wire(node.tls_port)))
                waiting[-1].send(said[number % len(said)])
        met = lambda: (counters := node.tls_counters())["handshakes_begun"] + counters["handshakes_refused_prefix"]  # noqa: E731
        until(lambda: met() == 400, "every connection was met")
        assert node.tls()["handshakes_open"] <= 200
        assert node.resident_bytes() - before < 200 * 100 * KIB
        until(lambda: node.tls()["handshakes_open"] == 0, "they have expired")
        begun, refused = (node.tls_counters()[name] for name in ("handshakes_begun", "handshakes_refused_prefix"))
        assert begun <= 300 and refused >= 100, (begun, refused)  # not in one moment, on a busy machine
        until(lambda: node.tls_counters()["handshakes_expired"] == begun, "and are counted")
        assert all(wire.is_closed() or wire.buffer for wire in waiting)
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song").body == SONG


def test_a_handshake_that_goes_on_for_ever_expires(limited):
    """Each byte is progress, and none of it counts."""
    node = limited('[tls.handshakes]\ntimeout = "1s"')
    with TlsWire(node.tls_port, handshake=False) as wire:
        begun = time.monotonic()
        with pytest.raises(OSError):
            for byte in record(HANDSHAKE, wire.begin(), 0x0301)[:-1]:
                wire.raw(bytes([byte]))
                time.sleep(0.05)
        assert 0.9 < time.monotonic() - begun < 8  # all of it would take longer
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
        # Two processes of the flood, its target and this one may share two cores: what is to be seen is that nobody waits for helpers.
        assert statistics.median(flooded) < 10 * quiet + 0.1, (quiet, statistics.median(flooded))
        assert max(flooded) < 5, sorted(flooded)[-5:]
        assert node.tls_counters()["handshakes_begun"] > begun + 50
        # And a new one gets in when it is over.
        until(lambda: node.tls()["handshakes_open"] == 0, "the flood is gone")
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song").body == SONG


def test_a_queue_that_is_full_refuses_at_once(limited):
    node = limited('[tls.helpers]\nthreads = 1\nqueue = 2\nqueue_per_prefix = 2')
    hello = record(HANDSHAKE, Hello().encoded(), 0x0301)
    with contextlib.ExitStack() as open_:

        def refused() -> bool:
            for _ in range(60):
                with contextlib.suppress(OSError):
                    open_.enter_context(Wire(node.tls_port)).send(hello)
            return node.tls_counters()["handshakes_refused_queue"] > 0

        until(refused, "the queue is full")
    helpers = node.tls()["helpers"]
    assert helpers["refused_full"] + helpers["refused_prefix"] > 0
    until(lambda: node.tls()["handshakes_open"] == 0, "all are gone")
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song").body == SONG
