"""Network namespaces for a node that has packets of its own: a veth pair, of which the node has one end and a client of the
kernel's, in a namespace, the other. No address of the pair is the kernel's on the node's side."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from typing import Any

import demo_support  # noqa: F401  (the demonstration's modules)

from serve import veth
from serve.network_namespace import NetworkNamespace

_numbers = itertools.count()
_links = itertools.count()

# Echo requests through a raw socket; prints how many of them were answered in order and in full.
_PING = """
import os, socket, struct, sys, time
to, count = sys.argv[1], int(sys.argv[2])
v6 = ":" in to
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
s.connect((to, 0))
payload = os.urandom(64)
answered = 0
for number in range(count):
    head = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, os.getpid() & 0xffff, number)
    if not v6:
        data = head + payload
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        head = head[:2] + struct.pack("!H", ~total & 0xffff) + head[4:]
    s.send(head + payload)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        s.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            got = s.recv(2048)
        except TimeoutError:
            break
        got = got if v6 else got[(got[0] & 15) * 4:]
        if got[0] == (129 if v6 else 0) and got[4:8] == head[4:8] and got[8:] == payload:
            answered += 1
            break
print(answered)
"""


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _entering(name: str) -> list[str]:
    # Not `ip netns exec`: that wants to mount a /sys, which not every container lets it.
    return ["nsenter", f"--net=/run/netns/{name}"]


class Namespace:
    """Ends with close(), and with it every interface in it."""

    def __init__(self, kind: str):
        self.name = f"nf-{kind}-{os.getpid() % 100000}-{next(_numbers)}"
        _run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def run(self, *command: object, **options: Any) -> subprocess.CompletedProcess:
        """Runs to its end in the namespace."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60} | options
        return subprocess.run([*_entering(self.name), *map(str, command)], check=False, **options)

    def start(self, *command: object, **options: Any) -> subprocess.Popen:
        """Runs in the namespace; the caller waits for it."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | options
        return subprocess.Popen([*_entering(self.name), *map(str, command)], **options)

    def enter(self) -> None:
        """For a process to come, as its preexec_fn."""
        with open(f"/run/netns/{self.name}") as place:
            os.setns(place.fileno(), os.CLONE_NEWNET)

    def ip(self, *command: object) -> None:
        self.run("ip", *command).check_returncode()

    def link(self, *addresses: str, opposite: Namespace | None = None) -> str:
        """A veth pair with `addresses` on the end here; returns the interface of the other end, which is in `opposite` or, without one, with
        us."""
        number = f"{os.getpid() % 100000:05}{next(_links)}"  # an interface's name has 15 characters
        port, theirs = f"nfa{number}", f"nfb{number}"
        with contextlib.closing(opposite.opened() if opposite else NetworkNamespace.here()) as port_side, \
                contextlib.closing(self.opened()) as their_side:
            veth.join(port, port_side, theirs, their_side, addresses)
        return port

    def opened(self) -> NetworkNamespace:
        """The caller closes it."""
        return NetworkNamespace(f"/run/netns/{self.name}")

    def pings(self, address: str, count: int = 3) -> int:
        """How many of `count` echo requests were answered."""
        done = self.run(sys.executable, "-c", _PING, address, count, text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


class Client(Namespace):
    """A namespace with `addresses` on its end of a veth pair; `port` is the interface of the other end, which is in `opposite` or, without
    one, with us."""

    def __init__(self, *addresses: str, opposite: Namespace | None = None):
        super().__init__("client")
        try:
            self.port = self.link(*addresses, opposite=opposite)
        except BaseException:
            self.close()
            raise
