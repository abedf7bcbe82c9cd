"""Joins two network namespaces by a veth pair, one end of which a node has to itself, through DPDK's net_af_packet.

The port's end has no address of the kernel's. net_af_packet leaves the kernel a copy of every frame, which a NIC would not, so the kernel is
told to answer nothing there. A pair is gone with either of its namespaces.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .network_namespace import NetworkNamespace

_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17


class IpError(Exception):
    """The program `ip` is missing, or refused; the message is its own."""


def ip(*words: object) -> str:
    """What `ip` printed, in the namespace of the calling thread."""
    argv = ["ip", *map(str, words)]
    try:
        # In a process group of its own: a Ctrl-C in the terminal is ours to deal with.
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30, process_group=0)
    except FileNotFoundError:
        raise IpError("the program ip is not installed: install the package iproute2") from None
    except subprocess.TimeoutExpired:
        raise IpError(f"`{' '.join(argv)}` did not end within 30 s") from None
    if done.returncode != 0:
        raise IpError(" ".join(done.stderr.split()) or f"`{' '.join(argv)}` ended with status {done.returncode}")
    return done.stdout


def join(port: str, port_side: NetworkNamespace, theirs: str, their_side: NetworkNamespace, addresses: Iterable[str]) -> None:
    """Makes the interfaces `port`, for a node, and `theirs`, the kernel's with `addresses` ("192.0.2.1/24"). Raises IpError or OSError, and may
    leave the pair behind then."""
    with port_side.inside():
        ip("link", "add", port, "type", "veth", "peer", "name", theirs, "netns", their_side.path)
        _silence_kernel(port)
        ip("link", "set", port, "up")
    with their_side.inside():
        # A link-local address that is only ready seconds later is a change of the network, for which Chromium ends what it loads.
        _set(theirs, {"ipv6/conf/{}/accept_dad": 0})
        for address in addresses:
            ip("address", "add", address, "dev", theirs, *(["nodad"] if ":" in address else []))
        _complete_checksums(theirs)
        ip("link", "set", theirs, "up")


def _silence_kernel(interface: str) -> None:
    """It takes no IPv6, drops IPv4 for want of a way back through this interface, and answers no ARP."""
    _set(interface, {"ipv6/conf/{}/disable_ipv6": 1, "ipv4/conf/{}/rp_filter": 1, "ipv4/conf/{}/arp_ignore": 8})


def _set(interface: str, settings: dict[str, int]) -> None:
    for setting, value in settings.items():
        file = Path("/proc/sys/net", setting.format(interface))
        if "ipv4" in setting or file.exists():  # a kernel without IPv6 has nothing to switch off
            file.write_text(str(value))


def _complete_checksums(interface: str) -> None:
    """A veth passes packets on without checksums, for the other kernel not to look at; the wire that it stands for does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        held = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
        request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(held))
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
