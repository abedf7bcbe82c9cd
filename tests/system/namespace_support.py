"""Network namespaces for a node that has packets of its own: a veth pair, of which the node has one end and a client of the
kernel's, in a namespace, the other. No address of the pair is the kernel's on the node's side."""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import socket
import struct
import subprocess
import sys
from typing import Any

_numbers = itertools.count()
_links = itertools.count()

_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17

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


def complete_checksums(interface: str) -> None:
    """A veth passes packets on without checksums, for the other kernel not to look at; the wire that it stands for does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        held = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
        request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(held))
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


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
        _run("ip", "link", "add", port, *(["netns", opposite.name] if opposite else []), "type", "veth", "peer", "name", theirs,
             "netns", self.name)
        # What comes in there is the port's alone. net_af_packet leaves the kernel a copy, which a NIC would not: it does not take IPv6,
        # drops IPv4 for want of a way back through this interface, and answers no ARP.
        settings = {"ipv6/conf/{}/disable_ipv6": 1, "ipv4/conf/{}/rp_filter": 1, "ipv4/conf/{}/arp_ignore": 8}
        enable = " && ".join([*(f"echo {value} > /proc/sys/net/{name.format(port)}" for name, value in settings.items()),
                              f"ip link set {port} up"])
        _run(*(_entering(opposite.name) if opposite else []), "sh", "-c", enable)
        for address in addresses:
            self.ip("address", "add", address, "dev", theirs, *(["nodad"] if ":" in address else []))
        self.run(sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import namespace_support as n; "
                 "n.complete_checksums(sys.argv[2])", os.path.dirname(__file__), theirs).check_returncode()
        self.ip("link", "set", theirs, "up")
        return port

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
