"""A thousand listeners at once on an object the node does not have: one request to the origin, and everybody hears it as it comes."""

from __future__ import annotations

import asyncio
import resource
import threading
import time

import pytest
from link_support import dialled
from node_support import Node, group, until
from origin_support import ScriptedOrigin, content
from wire_support import Wire, ask, request

MIB = 1024 * 1024
CLIENTS = 1000
PATIENCE_S = 60.0


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CLIENTS  # the node, a child, inherits it
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"needs {wanted} descriptors, the hard limit is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Listener(asyncio.Protocol):
    """One client. It compares as it reads: a thousand copies of the object would measure this process."""

    def __init__(self, crowd: Crowd, target: str):
        self.crowd, self.target = crowd, target
        self.head, self.position = b"", -1
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.write(request(self.target))

    def data_received(self, received: bytes) -> None:
        if self.position < 0:
            self.head += received
            if b"\r\n\r\n" not in self.head:
                return
            self.head, received = self.head.split(b"\r\n\r\n", 1)
            self.position = 0
        if not received:
            return
        if self.position == 0:
            self.crowd.hears()
        data = self.crowd.data
        if data[self.position:self.position + len(received)] != received:
            self.fail(f"other bytes at {self.position}")
        self.position += len(received)
        if self.position == len(data) and not self.done.done():
            self.done.set_result(time.monotonic())
            self.transport.close()

    def connection_lost(self, error) -> None:
        self.fail(f"the connection ended at byte {self.position}: {error} {self.head!r}")

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(why))


class Crowd:
    """Clients that all want `data`; `began` is set when each has had a byte of it."""

    def __init__(self, data: bytes, clients: int = CLIENTS):
        self.data, self.clients = data, clients
        self.heard = 0
        self.began = threading.Event()

    def hears(self) -> None:
        self.heard += 1
        if self.heard == self.clients:
            self.began.set()

    async def _run(self, port: int, target: str) -> list[float]:
        loop = asyncio.get_running_loop()
        listeners = [Listener(self, target) for _ in range(self.clients)]
        async with asyncio.timeout(PATIENCE_S):
            for each in listeners:
                await loop.create_connection(lambda each=each: each, dialled(port), port)
            return await asyncio.gather(*(each.done for each in listeners))

    def run(self, port: int, target: str) -> list[float]:
        """Everybody gets every byte; returns when each had the last."""
        return asyncio.run(self._run(port, target))


def head_of(data: bytes) -> bytes:
    return f'HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\nCache-Control: max-age=3600\r\nETag: "1"\r\n\r\n'.encode()


def drip(asked, data: bytes, begin: int = 0, piece: int = 64 * 1024) -> None:
    """The rest of the body as a slow origin sends it."""
    for at in range(begin, len(data), piece):
        asked.send(data[at:at + piece])
        time.sleep(0.005)  # the origin's own slowness, not a wait for something


def test_a_thousand_clients_make_one_origin_request_and_hear_it_as_it_comes():
    data = content(MIB)
    origin = ScriptedOrigin()
    crowd = Crowd(data)
    finished_at = []

    def script(asked):
        # The head comes when everybody waits for it, the second half when everybody has begun to listen: a node that waited for the
        # whole would never get there.
        until(lambda: node.counters()["requests"] >= CLIENTS, "all clients have asked", PATIENCE_S)
        asked.send(head_of(data) + data[:MIB // 2])
        assert crowd.began.wait(PATIENCE_S), f"{crowd.heard} of {CLIENTS} clients have heard something"
        drip(asked, data, MIB // 2)
        finished_at.append(time.monotonic())
        return True

    origin.on("/premiere", script)
    with Node(group(origin.url), workers=2) as node:
        done_at = crowd.run(node.port, "/premiere")
        assert len(origin.to("/premiere")) == 1
        counters = node.counters()
        assert (counters["cache_misses"], counters["cache_collapsed"], counters["responses_2xx"]) == (1, CLIENTS - 1, CLIENTS)
        assert (counters["responses_broken"], counters["fetches_resumed"], counters["origin_body_bytes"]) == (0, 0, MIB)
        node.settled()
        assert ask(node.port, "/premiere").body == data and len(origin.to("/premiere")) == 1
    print(f"\nthe last of {CLIENTS} clients had all {1000 * (max(done_at) - finished_at[0]):.0f} ms after the origin's last byte")
    origin.close()


def test_the_crowd_at_an_origin_20_ms_away():
    data = content(MIB, 2)
    origin = ScriptedOrigin()

    def script(asked):
        time.sleep(0.02)
        asked.send(head_of(data))
        drip(asked, data)
        return True

    origin.on("/far", script)
    crowd = Crowd(data)
    with Node(group(origin.url), workers=2) as node:
        began = time.monotonic()
        done_at = crowd.run(node.port, "/far")
        print(f"\nthe last of {CLIENTS} clients had all after {1000 * (max(done_at) - began):.0f} ms")
        assert len(origin.to("/far")) == 1
    origin.close()


def test_one_who_leaves_and_one_who_never_reads_disturb_nobody():
    data = content(4 * MIB, 3)
    half = len(data) // 2
    origin = ScriptedOrigin()
    crowd = Crowd(data, 50)
    left = threading.Event()

    def script(asked):
        asked.send(head_of(data) + data[:half])
        assert left.wait(PATIENCE_S) and crowd.began.wait(PATIENCE_S)
        drip(asked, data, half)
        return True

    origin.on("/disturbed", script)
    with Node(group(origin.url), workers=2, cache='maximum_object = "8M"') as node:
        starter = Wire(node.port)  # the fetch is made for it, and it goes first
        starter.send(request("/disturbed"))
        until(lambda: b"\r\n\r\n" in starter.buffer or starter.more(), "the head")
        sleeper = Wire(node.port)
        sleeper.send(request("/disturbed"))
        starter.reset()
        left.set()
        crowd.run(node.port, "/disturbed")
        node.settled()  # the object is whole though one has not read a byte
        assert len(origin.to("/disturbed")) == 1 and node.counters()["fetches_stored"] == 1
        assert sleeper.response().body == data  # it may wake up late
        sleeper.close()
    origin.close()


def test_everybody_leaves_and_the_object_is_kept_for_the_next():
    data = content(MIB, 4)
    origin = ScriptedOrigin()
    gone = threading.Event()

    def script(asked):
        asked.send(head_of(data) + data[:1000])
        assert gone.wait(PATIENCE_S)
        asked.send(data[1000:])
        return True

    origin.on("/alone", script)
    with Node(group(origin.url)) as node:
        wire = Wire(node.port)
        wire.send(request("/alone"))
        until(lambda: b"\r\n\r\n" in wire.buffer or wire.more(), "the head")
        wire.reset()
        until(lambda: node.gauges()["connections_open"] == 0, "the node sees the client go")
        gone.set()
        node.settled()
        assert ask(node.port, "/alone").body == data and len(origin.to("/alone")) == 1
    origin.close()
