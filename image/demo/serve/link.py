"""What stands in for a NIC: a link of this machine to a node that has packets of its own (`./dev run --transport dpdk`).

    browsers of the machine ── nearfield0 ═══ port0 ── node (DPDK, our TCP) ── 127.0.0.1 ── origin
    198.19.0.1, 2001:2::1      └─ veth pair ─┘         198.19.0.10, 2001:2::10
    └── the network namespace we were started in ──┘└── a namespace of its own ────────────────────┘

The origin is in the node's namespace, too, as that is where the node's kernel sockets are: the machine reaches the node by Ethernet frames and
the origin not at all. Nothing outlives us: that namespace has no name, and the pair goes with it. The networks are those kept for benchmarks (RFC
2544, RFC 5180); the number in the interface's name is theirs, and the kernel gives a name once, so runs side by side have links of their own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .network_namespace import NetworkNamespace
from .veth import IpError, ip, join

# One queue, which is one worker's: with more, net_af_packet moves busy flows from one to another (docs/dpdk.md).
WORKERS = 1

_PORT = "port0"
_MOST_LINKS = 200


class LinkError(Exception):
    """There can be no link here; the message says what to do."""


@dataclass(frozen=True)
class Link:
    interface: str  # the machine's end
    node_side: NetworkNamespace
    v4: str  # the node's addresses
    v6: str | None  # nothing when the machine has no IPv6
    v4_network: int  # lengths of their networks
    v6_network: int

    @property
    def device(self) -> str:
        """The node's end as DPDK names it."""
        return f"net_af_packet0,iface={_PORT}"

    @property
    def node_addresses(self) -> list[str]:
        return [f"{self.v4}/{self.v4_network}", *([f"{self.v6}/{self.v6_network}"] if self.v6 else [])]


@contextlib.contextmanager
def laid() -> Iterator[Link]:
    """A link that is there inside the block. Raises LinkError."""
    with contextlib.ExitStack() as belongings:
        home = belongings.enter_context(contextlib.closing(NetworkNamespace.here()))
        try:
            node_side = belongings.enter_context(contextlib.closing(NetworkNamespace.new()))
            with node_side.inside():
                ip("link", "set", "lo", "up")
                socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()  # as net_af_packet will, later and with more words
            link = _lay(home, node_side, belongings)
        except (IpError, OSError) as error:
            raise LinkError(_explained(error)) from None
        yield link


def _lay(home: NetworkNamespace, node_side: NetworkNamespace, belongings: contextlib.ExitStack) -> Link:
    taken = _routed_networks()
    has_v6 = _has_v6()
    for number in range(_MOST_LINKS):
        v4, v6 = ipaddress.ip_network(f"198.19.{number}.0/24"), ipaddress.ip_network(f"2001:2:0:{number:x}::/64")
        if any(v4.overlaps(one) if one.version == 4 else v6.overlaps(one) for one in taken):
            continue
        link = Link(f"nearfield{number}", node_side, str(v4[10]), str(v6[0x10]) if has_v6 else None, v4.prefixlen, v6.prefixlen)
        try:
            join(_PORT, node_side, link.interface, home, [f"{v4[1]}/{v4.prefixlen}", *([f"{v6[1]}/{v6.prefixlen}"] if has_v6 else [])])
        except IpError as error:
            if "File exists" in str(error):  # the link of another run
                continue
            raise
        # The namespace's end would take it away, too, but some time after ours.
        belongings.callback(_remove, link.interface, home)
        return link
    raise LinkError(f"no network is left for it: the {_MOST_LINKS} from 198.19.0.0/24 on have routes of this machine (`ip route` shows them)")


def _remove(interface: str, home: NetworkNamespace) -> None:
    with contextlib.suppress(IpError, OSError), home.inside():
        ip("link", "del", interface)


def _routed_networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Where this machine knows a way to. What is wider than the networks for benchmarks leads to everywhere, as a VPN's routes do, and does not
    count."""
    found = []
    for family, widest in (("-4", 15), ("-6", 48)):
        for route in json.loads(ip("-json", family, "route", "show", "table", "all") or "[]"):
            if route["dst"] != "default" and (network := ipaddress.ip_network(route["dst"], strict=False)).prefixlen >= widest:
                found.append(network)
    return found


def _has_v6() -> bool:
    try:
        return Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False


def _explained(error: IpError | OSError) -> str:
    text = str(error)
    if isinstance(error, PermissionError) or "not permitted" in text or "Permission denied" in text:
        return ("not permitted to make a network namespace and a veth pair: --transport dpdk wants root (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW); in a "
                "container, start that with --privileged")
    if "Unknown device type" in text or "not supported" in text:
        return f"this kernel makes no veth pair ({text}): load its module, `modprobe veth`"
    return f"no link could be laid for --transport dpdk: {text}"
