"""A node under test: one process with its own configuration, asked through its control socket what it counted.

Every node ends with exit status 0 or the test fails: a crash behind a green answer is a failure.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from link_support import TRANSPORT, Link, Loopback, at_home, new_link

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0


def node_program() -> Path:
    build = Path(os.environ.get("NEARFIELD_BUILD_DIR", REPOSITORY / "build" / "release"))
    program = Path(os.environ.get("NEARFIELD_NODE", build / "dataplane" / "nearfield-dataplane"))
    assert program.is_file(), f"{program} is not built: `./dev build` first"
    return program


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Waits for something that another process does, and returns what the condition returned."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(0.005)


def spawn(*command: object, death: str = "KILL", **options: Any) -> subprocess.Popen:
    """A process that the kernel ends with the signal `death` when the calling thread ends, whatever ended that."""
    return subprocess.Popen(["setpriv", "--pdeathsig", death, *map(str, command)], stdin=subprocess.DEVNULL, **options)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("node", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


def group(*servers: str, name: str = "music", hosts: str = '"*"', more: str = "") -> str:
    """An [[origin]] of the configuration; `more` may hold its further keys and tables."""
    listed = ", ".join(each if each.startswith("{") else f'"{each}"' for each in servers)
    return f'[[origin]]\nname = "{name}"\nhosts = [{hosts}]\nservers = [{listed}]\n{more}\n'


def configuration(link: Link | Loopback, control: Path, origins: str, more: str = "", *, listen: tuple[str, ...] = ("127.0.0.1:0",),
                  workers: int = 2, drain: str = "1s", ram: str = "128M", cache: str = "") -> str:
    """A node's file. `origins` is TOML made by group(), `cache` are further keys of [cache], `more` further tables."""
    return f"""\
[node]
listen = [{", ".join(f'"{link.listens(each)}"' for each in listen)}]
workers = {link.workers(workers)}
transport = "{TRANSPORT}"
control = "{control}"
drain_timeout = "{drain}"
[cache]
ram = "{ram}"
hugepages = false
{cache}
{origins}
{more}
{link.configuration()}
"""


class Controlled:
    """A node with a control socket, and what it tells there."""

    control: Path | None

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, str], str]:
        assert self.control is not None, "it was started without a control socket"
        with contextlib.closing(UnixConnection(self.control)) as connection:
            connection.request(method, path, body=body)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        status, _, text = self.request(method, path, None if body is None else json.dumps(body))
        return status, json.loads(text)

    def told(self, path: str) -> dict:
        status, answer = self.call("GET", path)
        assert status == 200, answer
        return answer

    def status(self) -> dict:
        return self.told("/v1/status")

    def counters(self) -> dict[str, int]:
        return self.told("/v1/counters")["counters"]

    def gauges(self) -> dict[str, int]:
        return self.told("/v1/counters")["gauges"]

    def tls(self) -> dict:
        return self.told("/v1/tls")["tls"]

    def tls_counters(self) -> dict[str, int]:
        return self.tls()["counters"]

    def counted(self, name: str, least: int) -> None:
        """A client may be done before the worker has counted."""
        until(lambda: self.tls_counters()[name] >= least, f"{name} reaches {least}")

    def metric(self, name: str) -> float:
        """The first whose line begins so."""
        text = self.request("GET", "/metrics")[2]
        return float(next(line for line in text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])


class Node(Controlled):
    """`origins` is TOML made by group(); `more` are further tables, like "[limits]\\nheader_timeout = '1s'"."""

    def __init__(self, origins: str, more: str = "", *, workers: int = 2, listen: tuple[str, ...] = ("127.0.0.1:0",), cache: str = "",
                 drain: str = "1s", link: Link | Loopback | None = None):
        self.folder = tempfile.TemporaryDirectory(prefix="nearfield-test-")  # short: a socket's path has 80 bytes
        place = Path(self.folder.name)
        self.control = place / "c.sock"
        self.log = place / "node.log"
        self.config = place / "node.toml"
        self.link = link or new_link()
        self.config.write_text(configuration(self.link, self.control, origins, more, listen=listen, workers=workers, cache=cache,
                                             drain=drain))
        with self.log.open("wb") as log, at_home():
            self.process = spawn(node_program(), "--config", self.config, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(self._serves, "the node serves")
            assert self.status()["transport"] == self.link.transport
            ports = [int(address.rsplit(":", 1)[1]) for address in self.status()["listen"]]
        except BaseException:
            with contextlib.suppress(AssertionError):
                self.stop()
            raise
        self.port, self.ports = ports[0], ports

    def _serves(self) -> bool:
        assert self.process.poll() is None, f"the node ended:\n{self.log.read_text(errors='replace')}"
        try:
            return self.status()["state"] == "serving"
        except OSError:
            return False

    def purge(self, **what: str) -> int:
        status, answer = self.call("POST", "/v1/purge", what)
        assert status == 200, answer
        return answer["purged"]

    def settled(self) -> None:
        """No fetch is under way: what will be stored is stored."""
        until(lambda: self.gauges()["fetches_open"] == 0, "all fetches end")

    def resident_bytes(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS:"))

    def stop(self) -> None:
        text = ""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            try:
                code: int | str = self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                code = "killed: it did not end by itself"
            text = self.log.read_text(errors="replace")
        finally:
            self.folder.cleanup()
            self.link.close()
        assert code == 0, f"the node ended with {code}:\n{text[-4000:]}"

    def __enter__(self) -> Node:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            self.stop()
        except AssertionError:
            if kind is None:
                raise
