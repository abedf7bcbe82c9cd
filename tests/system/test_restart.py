"""The end of a node, and its successor: drain, what a service manager is told, and takeover under load.

All of it is the same for an operator whatever carries the bytes, but for what is about listening sockets (link_support.needs_sockets).
"""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest
from control_support import files, place  # noqa: F401
from link_support import dialled, needs_sockets
from node_support import PATIENCE_S, until
from origin_support import content
from wire_support import Wire, ask, request


# --- ending ----------------------------------------------------------------------------------------------------------------


def slowly(gate: threading.Event, body: bytes):
    """Half of the body, and the rest when the gate opens."""
    def script(asked):
        asked.send(f"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:len(body) // 2])
        gate.wait(PATIENCE_S)
        asked.send(body[len(body) // 2:])
        return True
    return script


@pytest.mark.parametrize("how", ["signal", "request"])
def test_drain_finishes_what_is_under_way_and_refuses_the_rest(program, fault_origin, files, how):
    gate, body = threading.Event(), content(400_000)
    fault_origin.on("/slow", slowly(gate, body))
    node = program("--config", files.write(fault_origin.url), control=files.control).serves()
    port = node.port()
    with Wire(port) as idle, Wire(port) as busy:
        busy.send(request("/slow"))
        busy.until(b"\r\n\r\n")
        idle.send(request("/none"))
        idle.response()
        if how == "signal":
            node.signal(signal.SIGTERM)
        else:
            assert node.call("POST", "/v1/drain")[0] == 202
        assert idle.is_closed()
        assert node.status()["state"] == "draining"

        def refused() -> bool:
            try:
                socket.create_connection((dialled(port), port), timeout=5).close()
                return False
            except ConnectionRefusedError:
                return True
        until(refused, "new connections are refused")
        assert node.process.poll() is None
        gate.set()
        assert busy.exactly(len(body)) == body
        assert busy.is_closed()
    assert node.ends() == 0
    assert "drained" in node.log


def test_a_second_signal_ends_at_once(program, fault_origin, files):
    gate = threading.Event()
    fault_origin.on("/slow", slowly(gate, content(100_000)))
    node = program("--config", files.write(fault_origin.url, drain="1h"), control=files.control).serves()
    with Wire(node.port()) as wire:
        wire.send(request("/slow"))
        wire.until(b"\r\n\r\n")
        node.signal(signal.SIGTERM)
        node.says("draining")
        node.signal(signal.SIGINT)
        assert node.ends() == 0
        assert "told again" in node.log
    gate.set()


def test_the_drains_time_is_bounded(program, fault_origin, files):
    gate = threading.Event()
    fault_origin.on("/slow", slowly(gate, content(100_000)))
    node = program("--config", files.write(fault_origin.url, drain="100ms"), control=files.control).serves()
    with Wire(node.port()) as wire:
        wire.send(request("/slow"))
        wire.until(b"\r\n\r\n")
        node.signal(signal.SIGTERM)
        assert node.ends() == 0
        assert "the drain's time is over: closing 1 connections" in node.log
    gate.set()


def test_tells_the_service_manager(program, files, place):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place / "notify"))
        manager.settimeout(PATIENCE_S)
        node = program("--config", files.write("http://127.0.0.1:9"), control=files.control,
                       env={**os.environ, "NOTIFY_SOCKET": str(place / "notify")}).serves()
        assert f"READY=1\nMAINPID={node.process.pid}" in manager.recv(1000).decode()
        node.signal(signal.SIGTERM)
        assert "STOPPING=1" in manager.recv(1000).decode()


def test_a_restart_is_a_drain_and_a_start(program, nginx_origin, files):
    data = nginx_origin.put("/a", content(100_000))
    files.write(nginx_origin.url)
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        node = program("--config", files.config, control=files.control).serves()
        with Wire(node.port()) as kept:
            assert kept.ask("/a").body == data
            node.signal(told)
            assert kept.is_closed()
        assert node.ends() == 0
        assert f"draining ({'interrupted' if told == signal.SIGINT else 'told to end'})" in node.log and node.lines[-1].endswith(" drained")
    assert len(nginx_origin.log("/a")) == 3  # each began with an empty cache


# --- restart without a gap -------------------------------------------------------------------------------------------------


class Load:
    """Listeners who connect, ask for two things and go, as fast as they can; every error counts."""

    def __init__(self, port: int, bodies: dict[str, bytes], listeners: int = 4):
        self.errors: list[str] = []
        self.answers = 0
        self._stop = threading.Event()
        self._port, self._bodies = port, bodies
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(listeners)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            for target, body in self._bodies.items():
                try:
                    # A connection each: what a restart must not refuse or reset.
                    got = ask(self._port, target)
                    if not got.complete or got.status != 200 or got.body != body:
                        self.errors.append(f"{target}: {got.status}, {len(got.body)} bytes")
                    self.answers += 1
                except Exception as error:  # noqa: BLE001
                    self.errors.append(f"{target}: {error!r}")

    def more(self, count: int) -> None:
        wanted = self.answers + count
        until(lambda: self.answers >= wanted or self.errors, f"{count} more answers")

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)


@needs_sockets
@pytest.mark.parametrize("workers", [(2, 2), (1, 3), (3, 1)])
def test_takes_over_under_load_without_an_error(program, nginx_origin, files, workers):
    bodies = {f"/{size}": nginx_origin.put(f"/{size}", content(size)) for size in (100, 70_000, 500_000)}
    files.write(nginx_origin.url, workers=workers[0])
    old = program("--config", files.config, control=files.control).serves()
    port = old.port()
    load = Load(port, bodies)
    load.more(30)
    files.write(nginx_origin.url, workers=workers[1])
    new = program("--config", files.config, "--takeover", files.control, control=files.control)
    new.says(" took over and serves on ")
    assert old.ends() == 0
    load.more(30)
    load.end()
    assert load.errors == []
    assert new.port() == port  # "port 0" of the configuration is the port the old process had
    status = new.status()
    assert status["pid"] == new.process.pid and status["workers"] == workers[1]
    assert "a new process took over" in old.log and "drained" in old.log
    assert files.control.exists()


@needs_sockets
def test_takes_over_again_and_again(program, nginx_origin, files):
    bodies = {"/a": nginx_origin.put("/a", content(1000))}
    files.write(nginx_origin.url)
    node = program("--config", files.config, control=files.control).serves()
    load = Load(node.port(), bodies)
    for _ in range(4):
        following = program("--config", files.config, "--takeover", files.control, control=files.control)
        following.says(" took over and serves on ")
        assert node.ends() == 0
        node = following
        load.more(10)
    load.end()
    assert load.errors == []


@needs_sockets
def test_a_response_under_way_survives_the_takeover(program, fault_origin, files):
    gate, body = threading.Event(), content(400_000)
    fault_origin.on("/slow", slowly(gate, body))
    old = program("--config", files.write(fault_origin.url), control=files.control).serves()
    with Wire(old.port()) as wire:
        wire.send(request("/slow"))
        wire.until(b"\r\n\r\n")
        new = program("--config", files.config, "--takeover", files.control, control=files.control)
        new.says(" took over and serves on ")
        assert new.status()["pid"] == new.process.pid and old.process.poll() is None
        gate.set()
        assert wire.exactly(len(body)) == body
    assert old.ends() == 0


@needs_sockets
def test_a_failed_takeover_changes_nothing(program, nginx_origin, files, place):
    nginx_origin.put("/a", b"x")
    old = program("--config", files.write(nginx_origin.url), control=files.control).serves()
    port = old.port()
    bad = place / "bad.toml"
    bad.write_text(files.config.read_text().replace("64M", "60T"))
    failed = program("--config", bad, "--takeover", files.control)
    assert failed.ends() == 1 and "configure less" in failed.log
    other = place / "other.toml"
    other.write_text(files.config.read_text().replace(str(files.access), str(place / "no" / "log")))
    failed = program("--config", other, "--takeover", files.control)
    assert failed.ends() == 1 and "make its folder" in failed.log
    old.says("serving goes on here")
    assert old.status()["state"] == "serving"
    for _ in range(20):
        assert ask(port, "/a").body == b"x"
    new = program("--config", files.config, "--takeover", files.control, control=files.control)
    new.says(" took over and serves on ")
    assert old.ends() == 0
