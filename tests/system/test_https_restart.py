"""The end of a node that speaks https, and its successor: what becomes of handshakes and of listeners."""

from __future__ import annotations

import signal
import time

import pytest
from https_support import BIG, files, start  # noqa: F401
from link_support import needs_sockets
from node_support import until
from process_support import Program
from tls_client_support import TlsWire
from wire_support import Broken, ask, request


def halfway(node: Program) -> TlsWire:
    """A handshake that stops behind its first message, of which the node knows."""
    before = node.status()["tls"]["connections_open"]
    wire = TlsWire(node.tls_port(), handshake=False).send_hello()
    until(lambda: node.status()["tls"]["connections_open"] == before + 1, "the handshake has begun")
    return wire


def test_a_drain_lets_handshakes_finish(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    node = start()
    with halfway(node) as wire:
        node.signal(signal.SIGTERM)
        node.says("draining")
        time.sleep(1)  # beyond the moment in which idle connections are closed
        wire.finish(wire.read_flight())
        answer = wire.ask("/a")
        assert (answer.status, answer.body, answer["Connection"]) == (200, b"hello", "close")
    assert node.ends() == 0 and "drained" in node.log


def test_a_second_signal_ends_all_at_once(files, start, nginx_origin):
    nginx_origin.put("/big", BIG)
    files.write(nginx_origin.url, drain="60s", tls='[tls.handshakes]\ntimeout = "60s"')
    node = start()
    with files.connect(node, receive_buffer=16384) as listening:
        listening.send(request("/big"))
        listening.exactly(10_000)
        with halfway(node):
            node.signal(signal.SIGTERM)
            node.says("draining")
            node.signal(signal.SIGTERM)
            assert node.ends() == 0
        with pytest.raises(Broken):
            listening.exactly(len(BIG))


def test_a_drain_is_over_when_a_handshake_expires(files, start):
    files.write("http://127.0.0.1:9", drain="60s", tls='[tls.handshakes]\ntimeout = "1s"')
    node = start()
    with halfway(node):
        node.signal(signal.SIGTERM)
        assert node.ends() == 0 and "drained" in node.log


@needs_sockets
def test_a_new_process_takes_over_tls_as_well(files, start, nginx_origin):
    nginx_origin.put("/big", BIG)
    files.write(nginx_origin.url, drain="60s", more='[limits]\nsend_timeout = "5m"')
    old = start()
    port, clear = old.tls_port(), old.port()
    with files.connect(old, receive_buffer=16384) as listening:
        listening.send(request("/big"))
        head = listening.head()
        body = listening.exactly(50_000)
        new = start("--takeover", files.control)
        old.says("a new process has taken over: draining")
        status = new.status()
        assert status["pid"] == new.process.pid
        assert status["tls"]["listen"] == [f"127.0.0.1:{port}"] and status["listen"] == [f"[::1]:{clear}"]
        for _ in range(50):
            with files.connect(new) as wire:
                assert wire.ask("/big", "Range: bytes=0-9").body == BIG[:10]
            assert ask(clear, "/big", "Range: bytes=0-9", address="::1").body == BIG[:10]
        assert listening.exactly(int(head["Content-Length"]) - len(body)) == BIG[len(body):]
    assert old.ends() == 0
    assert new.tls_counters()["handshakes_finished"] >= 40
