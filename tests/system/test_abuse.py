"""Clients that stall, vanish, smuggle and flood: they are answered or cut off by a limit, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from node_support import Node, group, until
from origin_support import ScriptedOrigin, content
from wire_support import Broken, Wire, ask, request

KIB = 1024
MIB = 1024 * KIB
DATA = content(100 * KIB)
LARGE = content(16 * MIB)


@pytest.fixture(scope="module")
def origin():
    server = ScriptedOrigin()
    server.on("/song", lambda asked: asked.answer(DATA))
    server.on("/large", lambda asked: asked.answer(LARGE))
    server.on("/echo", lambda asked: asked.answer(asked.body, cache="no-store"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def strict(origin):
    """Every limit is near."""
    limits = """\
[limits]
header_timeout = "1s"
body_timeout = "1s"
idle_timeout = "2s"
send_timeout = "1s"
header_bytes = "4K"
header_count = 30
target_bytes = "1K"
request_body_bytes = "16K"
requests_per_connection = 5
ranges_per_request = 4
"""
    with Node(group(origin.url), limits, cache='maximum_object = "32M"') as started:
        yield started


@pytest.fixture(scope="module")
def node(origin):
    with Node(group(origin.url), cache='maximum_object = "32M"') as started:
        ask(started.port, "/song")
        yield started


# --- who is slow ---


def test_slowloris_is_shown_out(strict):
    began = time.monotonic()
    before = strict.counters()["timeout_header"]
    wires = [Wire(strict.port) for _ in range(20)]
    for number, wire in enumerate(wires):
        wire.send(request("/song")[:10 + number])
    wires[0].send(request("/song")[10:-2] + b"X-Slow: ")

    def counted_while_trickling() -> bool:
        with contextlib.suppress(OSError):
            wires[0].send(b"a")
        return strict.counters()["timeout_header"] > before

    # Bytes that trickle in do not buy time: the limit is for the whole head.
    until(counted_while_trickling, "the head times out")
    assert ask(strict.port, "/song").body == DATA  # others are served meanwhile
    for wire in wires[1:]:
        assert wire.response().status == 408
        assert wire.is_closed()
    until(lambda: strict.counters()["timeout_header"] == before + 20, "all were counted")
    assert 0.9 < time.monotonic() - began < 10
    for wire in wires:
        wire.close()


def test_a_body_that_does_not_come_is_408(strict):
    with Wire(strict.port) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this")
        assert wire.response().status == 408 and wire.is_closed()


def test_an_idle_connection_is_closed(strict):
    before = strict.counters()["timeout_idle"]
    with Wire(strict.port) as silent, Wire(strict.port) as used:
        assert used.ask("/song").body == DATA
        assert silent.is_closed() and used.is_closed()
    assert strict.counters()["timeout_idle"] >= before + 2


def test_one_who_never_reads_is_reset(strict):
    ask(strict.port, "/large")
    before = strict.counters()["timeout_send"]
    with Wire(strict.port, receive_buffer=4096) as wire:
        wire.send(request("/large"))
        until(lambda: strict.counters()["timeout_send"] == before + 1, "the slow reader is reset")
        with pytest.raises(Broken):
            wire.exactly(len(LARGE))
    assert ask(strict.port, "/large").body == LARGE


def test_one_who_reads_a_little_but_too_little_is_reset(strict):
    before = strict.counters()["timeout_send"]
    with Wire(strict.port, receive_buffer=4096) as wire:
        wire.send(request("/large"))

        def counted_while_sipping() -> bool:
            with contextlib.suppress(OSError):
                wire.socket.recv(1)
            return strict.counters()["timeout_send"] == before + 1

        until(counted_while_sipping, "sipping bytes does not hold a response open")


# --- who vanishes ---


def test_a_hundred_clients_vanish_in_the_middle_of_their_response(node):
    ask(node.port, "/large")
    wires = [Wire(node.port, receive_buffer=16 * KIB) for _ in range(100)]
    for wire in wires:
        wire.send(request("/large"))
        until(lambda wire=wire: b"\r\n\r\n" in wire.buffer or wire.more(), "the head")
    for number, wire in enumerate(wires):
        if number % 2:
            wire.reset()
        else:
            wire.close()
    until(lambda: node.gauges()["connections_open"] == 0, "all connections are gone")
    counters = node.counters()
    assert counters["connections_accepted"] == counters["connections_closed"]
    assert ask(node.port, "/large").body == LARGE


def test_clients_vanish_while_the_origin_has_not_answered(node, origin):
    release = threading.Event()

    def script(asked):
        release.wait(20)
        return asked.answer(DATA)

    origin.on("/waiting", script)
    wires = [Wire(node.port).send(request("/waiting")) for _ in range(50)]
    until(lambda: node.gauges()["connections_open"] >= 50 and node.gauges()["fetches_open"] == 1, "all wait for one fetch")
    for wire in wires:
        wire.reset()
    until(lambda: node.gauges()["connections_open"] == 0, "all connections are gone")
    release.set()
    node.settled()
    assert ask(node.port, "/waiting").body == DATA


def test_one_who_ends_its_side_still_gets_its_response(node):
    with Wire(node.port) as wire:
        wire.send(request("/song"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.response().body == DATA and wire.is_closed()


# --- who smuggles ---


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
AMBIGUOUS = {
    "length and chunked": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG" + SMUGGLED,
    "two lengths": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n" + SMUGGLED,
    "a list of lengths": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 36\r\n\r\n" + SMUGGLED,
    "length with a sign": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n" + SMUGGLED,
    "negative length": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n" + SMUGGLED,
    "endless length": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n" + SMUGGLED,
    "length in hexadecimal": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n" + SMUGGLED,
    "unknown coding": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked twice": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked not last": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked in HTTP/1.0": b"POST /front HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "bad chunk size": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
    "chunk size that overflows": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + SMUGGLED,
    "chunk without its end": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n" + SMUGGLED,
    "folded line": b"GET /front HTTP/1.1\r\nHost: a\r\nX-Field: a\r\n b\r\n\r\n",
    "folded coding": b"POST /front HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "space before the colon": b"POST /front HTTP/1.1\r\nHost: a\r\nContent-Length : 36\r\n\r\n" + SMUGGLED,
    "space before the first field": b"GET /front HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare CR in a field": b"GET /front HTTP/1.1\r\nHost: a\r\nX-Field: a\rX: b\r\n\r\n",
    "NUL in a field": b"GET /front HTTP/1.1\r\nHost: a\r\nX-Field: a\0b\r\n\r\n",
    "no Host": b"GET /front HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /front HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "Host that is none": b"GET /front HTTP/1.1\r\nHost: a b\r\n\r\n",
    "another Host than the target's": b"GET http://b/front HTTP/1.1\r\nHost: a\r\n\r\n",
    "user in the target": b"GET http://user@a/front HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment in the target": b"GET /front#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "control byte in the target": b"GET /fr\x01ont HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /fr ont HTTP/1.1\r\nHost: a\r\n\r\n",
    "field name that is no token": b"GET /front HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n",
    "empty field name": b"GET /front HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n",
    "line that is no field": b"GET /front HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
    "method that is no token": b"G(T /front HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_ambiguous_is_refused_and_never_reaches_the_origin(node, origin, name):
    before = len(origin.asked)
    with Wire(node.port) as wire:
        wire.send(AMBIGUOUS[name])
        response = wire.response()
        assert response.status in ((400, 501) if "coding" in name or "method" in name else (400,)), response
        assert response["Connection"] == "close"
        assert wire.is_closed()  # and nothing after it was looked at
    assert [asked.target for asked in origin.asked[before:]] == []


@pytest.mark.parametrize("name", ["length and chunked", "folded coding", "two lengths"])
def test_what_is_ambiguous_is_refused_behind_a_sound_request_too(node, origin, name):
    before = len(origin.asked)
    with Wire(node.port) as wire:
        wire.send(request("/song") + AMBIGUOUS[name])
        assert wire.response().body == DATA
        assert wire.response().status in (400, 501) and wire.is_closed()
    assert len(origin.asked) == before


def test_another_protocol_is_refused(node):
    for version, status in ((b"HTTP/2.0", (505,)), (b"HTTP/0.9", (400, 505)), (b"HTTX/1.1", (400,))):
        with Wire(node.port) as wire:
            wire.send(b"GET /song " + version + b"\r\nHost: a\r\n\r\n")
            assert wire.response().status in status and wire.is_closed()
    with Wire(node.port) as wire:
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100)
        assert wire.response().status == 400 and wire.is_closed()


# --- who wants too much ---


def test_too_large_a_head_target_or_body_is_refused_with_its_own_status(strict, origin):
    before = len(origin.asked)
    assert ask(strict.port, "/" + "a" * 2000).status == 414
    assert ask(strict.port, "/song", "X-Large: " + "a" * 5000).status == 431
    assert ask(strict.port, "/song", *[f"X-{number}: a" for number in range(40)]).status == 431
    assert ask(strict.port, "/echo", method="POST", body=b"a" * 17_000).status == 413
    with Wire(strict.port) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(20):
                wire.send(b"400\r\n" + b"a" * KIB + b"\r\n")
        assert wire.response().status == 413
    assert len(origin.asked) == before
    assert ask(strict.port, "/echo", method="POST", body=b"a" * 16_000).body == b"a" * 16_000


def test_many_ranges_get_the_whole(strict):
    ask(strict.port, "/song")
    assert ask(strict.port, "/song", "Range: bytes=0-0,2-2,4-4").status == 206
    response = ask(strict.port, "/song", "Range: bytes=" + ",".join(f"{2 * at}-{2 * at}" for at in range(5)))
    assert response.status == 200 and response.body == DATA


def test_a_connection_serves_so_many_requests_and_no_more(strict):
    with Wire(strict.port) as wire:
        wire.send(request("/song") * 8)
        responses = [wire.response() for _ in range(5)]
        assert all(each.body == DATA for each in responses)
        assert [each["Connection"] for each in responses] == ["", "", "", "", "close"]
        assert wire.is_closed()


def test_too_many_connections_of_one_prefix_are_reset(origin):
    with Node(group(origin.url), "[limits]\nconnections_per_prefix = 10") as node:
        wires = [Wire(node.port) for _ in range(10)]
        for wire in wires:
            assert wire.ask("/song").body == DATA
        for _ in range(5):
            with contextlib.suppress(OSError), Wire(node.port) as wire:
                wire.send(request("/song"))
                with pytest.raises((Broken, OSError)):
                    wire.response()
        assert node.counters()["connections_refused_prefix"] == 5
        assert all(wire.ask("/song").body == DATA for wire in wires)
        wires.pop().close()
        until(lambda: node.gauges()["connections_open"] == 9, "a place is free")
        assert ask(node.port, "/song").body == DATA
        for wire in wires:
            wire.close()


def test_too_many_connections_are_reset(origin):
    with Node(group(origin.url), "[limits]\nconnections = 4") as node:
        wires = [Wire(node.port) for _ in range(4)]
        for wire in wires:
            assert wire.ask("/song").body == DATA
        with contextlib.suppress(OSError), Wire(node.port) as wire:
            wire.send(request("/song"))
            with pytest.raises((Broken, OSError)):
                wire.response()
        assert node.counters()["connections_refused_total"] == 1
        for wire in wires:
            wire.close()


def test_too_many_fetches_are_503_and_hits_go_on(origin):
    release = threading.Event()

    def script(asked):
        release.wait(20)
        return asked.answer(DATA)

    for number in range(8):
        origin.on(f"/slow/{number}", script)
    with Node(group(origin.url), "[limits]\nfetches = 4\nwaiting_per_fetch = 3") as node:
        ask(node.port, "/song")
        node.settled()
        busy = [Wire(node.port).send(request(f"/slow/{number}")) for number in range(4)]
        until(lambda: node.gauges()["fetches_open"] == 4, "four fetches are under way")
        refused = ask(node.port, "/slow/4")
        assert refused.status == 503 and int(refused["Retry-After"]) > 0
        assert ask(node.port, "/song").body == DATA
        more = [Wire(node.port).send(request("/slow/0")) for _ in range(2)]
        until(lambda: node.counters()["requests"] >= 9, "two more wait for the first")
        crowded = ask(node.port, "/slow/0")
        assert crowded.status == 503 and "Retry-After" in crowded
        release.set()
        assert [wire.response().body for wire in busy + more] == [DATA] * 6
        counters = node.counters()
        assert (counters["limit_fetches"], counters["limit_waiting"]) == (1, 1)
        for wire in busy + more:
            wire.close()


def test_an_idle_connection_costs_little(origin):
    with Node(group(origin.url), workers=1) as node:
        # What connections share is there before the measure: a worker's receive buffers are touched one after the other.
        with Wire(node.port) as wire:
            for _ in range(2500):
                assert wire.ask("/tiny").status == 404
        until(lambda: node.gauges()["connections_open"] == 0, "the first is gone")
        before, wires = node.resident_bytes(), []
        for _ in range(400):
            wires.append(Wire(node.port))
            assert wires[-1].ask("/song").body == DATA
        each = (node.resident_bytes() - before) / len(wires)
        print(f"\n{each:.0f} bytes of memory for each idle connection")
        assert node.gauges()["connections_open"] == len(wires) and each < 2048
        for wire in wires:
            wire.close()
        until(lambda: node.gauges()["connections_open"] == 0, "all are gone")
