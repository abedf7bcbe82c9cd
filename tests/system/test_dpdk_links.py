"""Clients of the kernel's over bad links and awkward ones, on every driver that needs no NIC: what arrives is what was asked for, and in time.

The bad link is in the node (tests/node/impaired_node.cc), before its driver, with a seed; the kernel's end of the link is a veth pair's or the
TAP's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dpdk_support import PORT, THEIR_V4, THEIR_V6, V4, V6, counted, curl, digest, inside, needs_dpdk, serving, transport, url
from namespace_support import Client, Namespace
from node_support import until
from origin_support import Nginx, content
from process_support import Program

pytestmark = needs_dpdk

BAD = "loss=0.01,reordering=0.02,duplication=0.01,corruption=0.005"
KIB, MIB = 1024, 1024 * 1024


@contextlib.contextmanager
def linked(driver: str, folder: Path, objects: dict[str, bytes], devargs: str = "", **options) -> Iterator[tuple[Namespace, Program]]:
    """A client of the kernel's, and a node that owns the other end of its link and has `objects` from an origin."""
    with contextlib.ExitStack() as ending:
        if driver == "net_tap":
            # Its two ends are in one namespace, and so is everybody else: the driver loses sight of an interface that is taken elsewhere.
            client = ending.enter_context(contextlib.closing(Namespace("client")))
            device = f"nft{os.getpid() % 100000}"
            ending.enter_context(inside(client))
        else:
            client = ending.enter_context(contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")))
            device = client.port
        origin = ending.enter_context(contextlib.closing(Nginx()))
        for path, data in objects.items():
            origin.put(path, data)
        program = ending.enter_context(serving(f"{driver}0,iface={device}{devargs}", origin.url, folder, **options))
        if driver == "net_tap":
            # Both ends have one MAC address until the kernel's gets another.
            client.ip("link", "set", device, "address", "02:6e:66:00:00:01")
            client.ip("address", "add", f"{THEIR_V4}/24", "dev", device)
            client.ip("address", "add", f"{THEIR_V6}/64", "dev", device, "nodad")
        yield client, program


def interface_of(client: Namespace) -> str:
    """The one that is not the loopback."""
    listed = client.run("ip", "-brief", "link", "show", text=True).stdout.splitlines()
    [name] = [line.split()[0].split("@")[0] for line in listed if not line.startswith("lo ")]
    return name


def fetch(client: Namespace, paths: list[str], address: str, folder: Path, patience_s: int = 60) -> dict[str, str]:
    """Digests of what many downloads at a time brought."""
    words = [word for path in paths for word in (url(path, address), "-o", str(folder / path[1:]))]
    done = client.run("curl", "-sS", "--fail", "--no-progress-meter", "-Z", "--parallel-max", 16, "--max-time", patience_s, *words,
                      timeout=patience_s + 10)
    assert done.returncode == 0, done.stderr
    return {path: digest((folder / path[1:]).read_bytes()) for path in paths}


@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp", "net_tap"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_link_changes_nothing_of_what_arrives(tmp_path, driver, seed):
    objects = {f"/{size}": content(size) for size in (64 * KIB, 300_001, MIB, 4 * MIB)}
    large = content(16 * MIB)
    with linked(driver, tmp_path, objects | {"/large": large}, impairment=f"seed={seed},{BAD}") as (client, program):
        for address in (V4, V6):
            for path, data in objects.items():
                assert digest(curl(client, path, address, patience_s=30)) == digest(data)
            assert fetch(client, list(objects), address, tmp_path) == {path: digest(data) for path, data in objects.items()}
        if seed == 1:
            assert digest(curl(client, "/large", V4, patience_s=40)) == digest(large)
        repairs = ("tcp_fast_recoveries", "tcp_loss_probes", "tcp_timeouts")
        until(lambda: sum(transport(program)[name] for name in repairs) > 0, "repairs are counted")
        counted(program, "dropped_tcp_checksum")
        counted(program, "tcp_duplicates_reported")


@pytest.mark.parametrize("driver", ["net_af_packet", "net_tap"])
def test_many_connections_at_once_get_through_a_bad_link(tmp_path, driver):
    with linked(driver, tmp_path, {"/a": content(20_000)}, impairment=f"seed=3,{BAD}") as (client, program):
        assert len(curl(client, "/a", V4)) == 20_000
        done = client.run("wrk", "-t", 1, "-c", 300, "-d", "4s", "--timeout", "20s", url("/a", V4), text=True)
        assert done.returncode == 0, done.stderr
        count = re.search(r"(\d+) requests in", done.stdout)
        assert count and int(count[1]) > 500, done.stdout
        assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
        counted(program, "accepted", 300)


# Connections that are all open at once: each asks, waits until all have asked, and asks again. Prints how many were answered in full twice.
_CROWD = """
import asyncio, sys
to, port, path, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
opening, answered = asyncio.Semaphore(200), asyncio.Barrier(count)

async def ask(reader, writer):
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n".encode())
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    length = int(head.split(b"content-length:")[1].split()[0])
    return await reader.readexactly(length)

async def one(number):
    async with opening:
        reader, writer = await asyncio.open_connection(to, port)
        first = await ask(reader, writer)
    await answered.wait()
    await asyncio.sleep(number % 100 / 100)
    same = await ask(reader, writer) == first
    writer.close()
    return same

async def all():
    print(sum(await asyncio.gather(*(one(number) for number in range(count)))))

asyncio.run(all())
"""


def test_thousands_of_connections_stay(tmp_path):
    count = 3000
    with linked("net_af_packet", tmp_path, {"/a": content(3000)}, impairment=f"seed=4,{BAD}",
                limits="connections = 4000\nconnections_per_prefix = 0") as (client, program):
        assert len(curl(client, "/a", V4)) == 3000
        crowd = client.run(sys.executable, "-c", _CROWD, V4, PORT, "/a", count, text=True, timeout=60,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192)))
        assert crowd.returncode == 0, crowd.stderr
        assert int(crowd.stdout) == count
        counted(program, "accepted", count)


@contextlib.contextmanager
def slow_download(client: Namespace, address: str, folder: Path, path: str = "/a") -> Iterator[None]:
    """Of some seconds, under way in the block; must end well after it."""
    got = folder / "got"
    slow = client.start("curl", "-sS", "--fail", "--limit-rate", "2M", "--max-time", 50, "-o", got, url(path, address),
                        stderr=subprocess.PIPE)
    try:
        until(lambda: got.exists() and got.stat().st_size > 100_000, "the download is under way")
        yield
        assert slow.poll() is None, "it ended before anything happened to it"
        _, errors = slow.communicate(timeout=60)
        assert slow.returncode == 0, errors
    finally:
        slow.kill()
        slow.communicate()


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_neighbour_that_moves_is_followed(tmp_path, address, is_told):
    data = content(4 * MIB)
    with linked("net_af_packet", tmp_path, {"/a": data}) as (client, program):
        ours = interface_of(client)
        client.run("sh", "-c", f"echo {int(is_told)} | tee /proc/sys/net/ipv4/conf/{ours}/arp_notify /proc/sys/net/ipv6/conf/{ours}/ndisc_notify"
                   ).check_returncode()
        with slow_download(client, address, tmp_path):
            client.ip("link", "set", ours, "address", "02:6e:66:00:00:02")
        assert (tmp_path / "got").read_bytes() == data
        counted(program, "neighbour_moves")


@pytest.mark.parametrize("address", [V4, V6])
def test_a_link_that_goes_and_comes_back_costs_no_connection(tmp_path, address):
    data = content(4 * MIB)
    with linked("net_af_packet", tmp_path, {"/a": data}) as (client, program):
        client.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/$0/keep_addr_on_down", interface_of(client)).check_returncode()
        with slow_download(client, address, tmp_path):
            client.ip("link", "set", interface_of(client), "down")
            counted(program, "link_downs")
            client.ip("link", "set", interface_of(client), "up")
        assert (tmp_path / "got").read_bytes() == data
        assert transport(program)["port0_link_up"] == 1


def test_a_ring_that_is_often_full_loses_nothing(tmp_path):
    objects = {f"/{number}": content(MIB, number) for number in range(8)}
    with linked("net_af_packet", tmp_path, objects, devargs=",framecnt=32", impairment="seed=6,refusal=0.5") as (client, program):
        for address in (V4, V6):
            assert fetch(client, list(objects), address, tmp_path) == {path: digest(data) for path, data in objects.items()}
        counted(program, "send_queue_full")


def test_jumbo_frames(tmp_path):
    objects = {f"/{size}": content(size) for size in (64 * KIB, 4 * MIB)}
    with linked("net_tap", tmp_path, objects, port="mtu = 9000", impairment=f"seed=5,{BAD}") as (client, program):
        for address in (V4, V6):
            for path, data in objects.items():
                assert digest(curl(client, path, address)) == digest(data)
        counted(program, "tcp_segments_received")


NEAR_V4, NEAR_V6 = "198.18.8.1", "fd6e:6664::1"  # of the router, towards the client
FAR_V4, FAR_V6 = "198.18.8.2", "fd6e:6664::2"


@contextlib.contextmanager
def routed(folder: Path, objects: dict[str, bytes], far_mtu: int, *, is_silent: bool = False, **options) -> Iterator[tuple[Namespace, Program]]:
    """A client behind a router, which sends at most `far_mtu` bytes towards it; the client does not know. A silent router tells nobody what
    it drops."""
    with contextlib.ExitStack() as ending:
        router = ending.enter_context(contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")))
        client = ending.enter_context(contextlib.closing(Namespace("client")))
        router.ip("link", "add", "far", "type", "veth", "peer", "name", "home", "netns", client.name)
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding").check_returncode()
        for place, interface, v4, v6 in ((router, "far", NEAR_V4, NEAR_V6), (client, "home", FAR_V4, FAR_V6)):
            place.ip("address", "add", f"{v4}/24", "dev", interface)
            place.ip("address", "add", f"{v6}/64", "dev", interface, "nodad")
            place.ip("link", "set", interface, "up")
        router.ip("link", "set", "far", "mtu", far_mtu)
        client.ip("route", "add", "default", "via", NEAR_V4)
        client.ip("-6", "route", "add", "default", "via", NEAR_V6)
        if is_silent:
            router.ip("rule", "add", "iif", "lo", "ipproto", "icmp", "blackhole", "priority", 1)
            router.ip("-6", "rule", "add", "iif", "lo", "ipproto", "ipv6-icmp", "to", V6, "blackhole", "priority", 1)
        origin = ending.enter_context(contextlib.closing(Nginx()))
        for path, data in objects.items():
            origin.put(path, data)
        more = f'gateways = ["{THEIR_V4}"]\nroutes = ["fd6e:6664::/64 via {THEIR_V6}"]'
        program = ending.enter_context(serving(f"net_af_packet0,iface={router.port}", origin.url, folder, port=more, **options))
        # Until it is sure of its link-local address, a kernel asks for no neighbour.
        until(lambda: not any(place.run("ip", "-6", "address", "show", "tentative").stdout for place in (router, client)), "addresses are unique")
        yield client, program


@pytest.mark.parametrize(("address", "far_mtu", "is_silent"), [(V4, 1400, False), (V6, 1400, False), (V4, 1400, True), (V6, 1280, True)])
def test_a_path_that_takes_less_is_found(tmp_path, address, far_mtu, is_silent):
    data = content(2 * MIB)
    with routed(tmp_path, {"/a": data, "/b": b"b"}, far_mtu, is_silent=is_silent) as (client, program):
        assert curl(client, "/b", address) == b"b"
        assert digest(curl(client, "/a", address, patience_s=40)) == digest(data)
        counted(program, "tcp_path_mtu_reductions")
        assert (transport(program)["icmp_path_errors"] > 0) is not is_silent  # counted before the reduction it causes
        assert digest(curl(client, "/a", address, patience_s=40)) == digest(data)  # by what is known of the path, or again


@pytest.mark.parametrize("address", [V4, V6])
def test_a_first_connection_through_a_router_is_answered_at_once(tmp_path, address):
    """Over IPv6 the router asks for the node in the name of its link-local address, which says nothing of the gateway's."""
    with routed(tmp_path, {"/b": b"b"}, 1500) as (client, _):
        assert float(curl(client, "/b", address, "-o", "/dev/null", "-w", "%{time_connect}")) < 0.5


def test_a_bad_link_to_clients_behind_a_router(tmp_path):
    objects = {f"/{number}": content(MIB, number) for number in range(4)}
    second = "198.18.7.11"
    with routed(tmp_path, objects, 1500, impairment=f"seed=7,{BAD}",
                addresses=(f"{V4}/24", f"{second}/24", f"{V6}/64")) as (client, program):
        for address in (V4, second, V6):
            assert fetch(client, list(objects), address, tmp_path) == {path: digest(data) for path, data in objects.items()}
        counted(program, "dropped_tcp_checksum")


# A VLAN interface of the kernel's would want its module 8021q. This is one: a TAP whose frames go over the interface named with a tag.
_TAGGER = """
import fcntl, os, select, socket, struct, sys
below, name, vlan = sys.argv[1], sys.argv[2], int(sys.argv[3])
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes the tag from what it receives and tells it beside
wire.bind((below, 3))
print("ready", flush=True)
while True:
    for ready in select.select([tap, wire, sys.stdin], [], [])[0]:
        if ready is sys.stdin:
            sys.exit()
        if ready is wire:
            frame, beside, _, source = wire.recvmsg(2048, 64)
            status, tag = struct.unpack("=I12xH", beside[0][2][:18]) if beside else (0, 0)
            if source[2] != socket.PACKET_OUTGOING and status & 0x10 and tag & 0xfff == vlan:  # TP_STATUS_VLAN_VALID
                os.write(tap, frame)
        else:
            frame = os.read(tap, 2048)
            wire.send(frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:])
"""


def test_a_port_on_a_vlan(tmp_path):
    data = content(MIB)
    with linked("net_af_packet", tmp_path, {"/a": data}, port="vlan = 7", impairment=f"seed=8,{BAD}") as (client, program):
        below = interface_of(client)
        client.ip("address", "flush", "dev", below, "scope", "global")
        tagger = client.start(sys.executable, "-c", _TAGGER, below, "tagged", 7, stdin=subprocess.PIPE)
        try:
            assert tagger.stdout.readline() == b"ready\n"
            client.ip("address", "add", f"{THEIR_V4}/24", "dev", "tagged")
            client.ip("address", "add", f"{THEIR_V6}/64", "dev", "tagged", "nodad")
            client.ip("link", "set", "tagged", "mtu", 1496, "up")  # a tag's four bytes are more than the link below takes
            for address in (V4, V6):
                assert digest(curl(client, "/a", address)) == digest(data)
        finally:
            tagger.communicate(timeout=20)
        assert tagger.returncode == 0
