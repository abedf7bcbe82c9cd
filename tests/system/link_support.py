"""Which transport the nodes of system tests have, by NEARFIELD_TRANSPORT: "uring" (the default), or "dpdk".

With "dpdk" each node owns one end of a veth pair of its own through net_af_packet. The tests themselves, and whatever they start as clients,
are in a namespace opposite and have the other ends; nodes and origins stay where the tests began, with the kernel between them. Tests go on
to name a node by its port number and by "127.0.0.1" or "::1": port numbers are of one node each, and dialled() tells its address.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
from collections.abc import Iterator

from namespace_support import Namespace

from serve import link as links

TRANSPORT = os.environ.get("NEARFIELD_TRANSPORT", "uring")
assert TRANSPORT in ("uring", "dpdk"), f"NEARFIELD_TRANSPORT={TRANSPORT}: uring or dpdk"

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

    WORKERS = links.WORKERS

    def __init__(self):
        assert _opposite is not None, "NEARFIELD_TRANSPORT=dpdk needs clients_opposite(), which conftest.py does"
        number = next(_numbers)
        assert number < 250, "more nodes than networks"
        self.port = 8000 + number
        self.v4, self.v6 = f"198.18.{number}.10", f"fd6e:6663:{number:x}::10"
        with at_home():
            self.interface = _opposite.link(f"198.18.{number}.1/24", f"fd6e:6663:{number:x}::1/64")
        _links[self.port] = self

    def listens(self, listen: str) -> str:
        """What the node listens on where it would on `listen` of the kernel."""
        host, port = listen.rsplit(":", 1)
        assert port == "0", listen
        return f"[{self.v6}]:{self.port}" if ":" in host else f"{self.v4}:{self.port}"

    def configuration(self) -> str:
        return f"""\
[dpdk]
hugepages = false
memory = "64M"
[[dpdk.port]]
name = "net_af_packet0,iface={self.interface}"
addresses = ["{self.v4}/24", "{self.v6}/64"]
"""

    def close(self) -> None:
        del _links[self.port]
        with at_home():
            subprocess.run(["ip", "link", "del", self.interface], check=False, capture_output=True)


def dialled(port: int, address: str = "127.0.0.1") -> str:
    """The address where clients reach what the tests call `address` and `port`."""
    if (link := _links.get(port)) is None:
        return address
    return link.v6 if ":" in address else link.v4


def authority(port: int, address: str = "127.0.0.1") -> str:
    """As in a URL."""
    host = dialled(port, address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
