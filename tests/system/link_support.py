"""Which transport the nodes of system tests have, by NEARFIELD_TRANSPORT: "uring" (the default), or "dpdk".

With "dpdk" each node owns one end of a veth pair of its own through net_af_packet. The tests themselves, and whatever they start as clients,
are in a namespace opposite and have the other ends; nodes and origins stay where the tests began, with the kernel between them. Tests go on
to name a node by its port number and by "127.0.0.1" or "::1": port numbers are of one node each, and dialled() tells its address. What has
to be written into a node's configuration or its flags is asked of new_link(), and is nothing special with "uring".
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
from collections.abc import Iterator

import pytest
from namespace_support import Namespace

from serve import link as links

TRANSPORT = os.environ.get("NEARFIELD_TRANSPORT", "uring")
assert TRANSPORT in ("uring", "dpdk"), f"NEARFIELD_TRANSPORT={TRANSPORT}: uring or dpdk"

needs_sockets = pytest.mark.skipif(TRANSPORT == "dpdk", reason="about listening sockets, which can be handed over and held against others: "
                                   "a NIC queue has one owner, and a restart is a drain and a start")

_home: int | None = None  # where the tests began; open while they are opposite
_opposite: Namespace | None = None
_numbers = itertools.count(1)
_links: dict[int, Link] = {}


@contextlib.contextmanager
def clients_opposite() -> Iterator[None]:
    """The calling thread, and what it starts, is in the namespace of the clients."""
    global _home, _opposite
    assert _opposite is None and threading.active_count() == 1
    _home, _opposite = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), Namespace("clients")
    try:
        _opposite.enter()
        yield
    finally:
        os.setns(_home, os.CLONE_NEWNET)
        _opposite.close()
        os.close(_home)
        _home = _opposite = None


@contextlib.contextmanager
def at_home() -> Iterator[None]:
    """Sockets and processes that are made here are beside the nodes, as origins are; only the calling thread is concerned."""
    if _home is None:
        yield
        return
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    os.setns(_home, os.CLONE_NEWNET)
    try:
        yield
    finally:
        os.setns(back, os.CLONE_NEWNET)
        os.close(back)


class Link:
    """A veth pair between a node and the clients, with a network of each family."""

    transport = "dpdk"  # in what the node tells of itself

    def __init__(self):
        assert _opposite is not None, "NEARFIELD_TRANSPORT=dpdk needs clients_opposite(), which conftest.py does"
        number = next(_numbers)
        assert number < 250, "more nodes than networks"
        self.port, self.tls_port = 8000 + number, 18_000 + number
        self.v4, self.v6 = f"198.18.{number}.10", f"fd6e:6663:{number:x}::10"
        self.client_v4 = f"198.18.{number}.1"
        with at_home():
            self.interface = _opposite.link(f"{self.client_v4}/24", f"fd6e:6663:{number:x}::1/64")
        _links[self.port] = _links[self.tls_port] = self

    def listens(self, listen: str) -> str:
        """What the node listens on where it would on `listen` of the kernel."""
        host, port = listen.rsplit(":", 1)
        assert port == "0", listen
        return f"[{self.v6}]:{self.port}" if ":" in host else f"{self.v4}:{self.port}"

    def listens_tls(self) -> tuple[str, ...]:
        """Beside clear text, of both families."""
        return (f":{self.tls_port}",)

    @property
    def _device(self) -> str:
        return f"net_af_packet0,iface={self.interface}"

    def flags(self, listen: str = "127.0.0.1:0") -> list[str]:
        return ["--listen", self.listens(listen), "--transport", "dpdk", "--port", self._device, "--address", f"{self.v4}/24",
                "--address", f"{self.v6}/64"]

    def workers(self, _wanted: int) -> int:
        return links.WORKERS  # more than it has queues find no place

    def configuration(self) -> str:
        return f"""\
[dpdk]
hugepages = false
memory = "64M"
[[dpdk.port]]
name = "{self._device}"
addresses = ["{self.v4}/24", "{self.v6}/64"]
"""

    def close(self) -> None:
        del _links[self.port], _links[self.tls_port]
        with at_home():
            subprocess.run(["ip", "link", "del", self.interface], check=False, capture_output=True)


class Loopback:
    """The same of a node with the kernel's sockets: its clients are beside it."""

    transport = "uring"
    v4 = client_v4 = "127.0.0.1"

    def listens(self, listen: str) -> str:
        return listen

    def listens_tls(self) -> tuple[str, ...]:
        return "127.0.0.1:0", "[::1]:0"

    def flags(self, listen: str = "127.0.0.1:0") -> list[str]:
        return ["--listen", listen]

    def workers(self, wanted: int) -> int:
        return wanted

    def configuration(self) -> str:
        return ""

    def close(self) -> None:
        pass


def new_link() -> Link | Loopback:
    """For one node at a time; the caller closes it after the node's end."""
    return Link() if TRANSPORT == "dpdk" else Loopback()


def dialled(port: int, address: str = "127.0.0.1") -> str:
    """The address where clients reach what the tests call `address` and `port`."""
    if (link := _links.get(port)) is None:
        return address
    return link.v6 if ":" in address else link.v4


def authority(port: int, address: str = "127.0.0.1") -> str:
    """As in a URL."""
    host = dialled(port, address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
