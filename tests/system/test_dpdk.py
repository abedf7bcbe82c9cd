"""The node with packets of its own, on a veth pair through net_af_packet: a client of the kernel's in a namespace opposite."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dpdk_support import PORT, THEIR_V4, THEIR_V6, V4, V6, counted, curl, digest, needs_dpdk, serving, transport
from namespace_support import Client, Namespace
from node_support import node_program, until
from process_support import Program

pytestmark = needs_dpdk


@pytest.fixture
def client() -> Iterator[Client]:
    with contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")) as namespace:
        yield namespace


@pytest.fixture
def served(client: Client, nginx_origin, tmp_path: Path) -> Iterator[Program]:
    with serving(f"net_af_packet0,iface={client.port}", nginx_origin.url, tmp_path) as program:
        yield program


@pytest.mark.parametrize("address", [V4, V6])
def test_a_mebibyte_arrives_as_it_is(client, served, nginx_origin, address):
    data = os.urandom(1024 * 1024)
    nginx_origin.put("/song.mp4", data)
    for _ in range(3):  # from the origin, then from the cache
        assert digest(curl(client, "/song.mp4", address)) == digest(data)
    assert curl(client, "/song.mp4", address, "-r", "500000-600000") == data[500000:600001]
    counted(served, "accepted", 4)
    counted(served, "tcp_sent_bytes", 3 * len(data))


@pytest.mark.parametrize("address", [V4, V6])
def test_it_answers_pings(client, served, address):
    assert client.pings(address) == 3


def test_a_port_nobody_listens_on_is_refused(client, served):
    done = client.run("curl", "-sS", "--max-time", "5", f"http://{V4}:{PORT + 1}/", text=True)
    assert done.returncode == 7 and "refused" in done.stderr.lower() or "connect" in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("address", [V4, V6])
def test_a_client_never_seen_is_answered_at_once(client, served, nginx_origin, address):
    """It knows where the node is and asks nobody, so that the node has to ask for it; its SYN-ACK waits for that, not for a second."""
    nginx_origin.put("/a", b"a")
    interface = client.run("ip", "route", "get", address, text=True).stdout.split(" dev ")[1].split()[0]
    mac = Path(f"/sys/class/net/{client.port}/address").read_text().strip()
    client.ip("neighbour", "replace", address, "lladdr", mac, "dev", interface, "nud", "permanent")
    assert float(curl(client, "/a", address, "-o", "/dev/null", "-w", "%{time_connect}")) < 0.5
    counted(served, "packets_held")
    assert transport(served)["packets_held_lost"] == 0
    assert transport(served)["packets_no_next_hop"] == 0


def test_a_restart_is_a_drain_and_a_start(client, served):
    taking_over = subprocess.run([str(node_program()), "--listen", f":{PORT}", "--origin", "http://127.0.0.1", "--transport", "dpdk",
                                  "--port", f"net_af_packet0,iface={client.port}", "--address", f"{V4}/24",
                                  "--takeover", str(served.control)], capture_output=True, text=True, check=False, timeout=20)
    assert taking_over.returncode == 1
    assert "--takeover does not go with transport dpdk" in taking_over.stderr


def test_workers_share_a_port(client, nginx_origin, tmp_path):
    data = os.urandom(300_000)
    nginx_origin.put("/song.mp4", data)
    with serving(f"net_af_packet0,iface={client.port},qpairs=2", nginx_origin.url, tmp_path, workers=2) as program:
        for number in range(24):  # with two queues some are on each, though the neighbour answered on one
            assert curl(client, "/song.mp4", (V4, V6)[number % 2]) == data
        counted(program, "accepted", 24)


def test_the_kernel_has_the_rest_of_the_port(tmp_path):
    tap = "nf-kernel0"
    with contextlib.closing(Namespace("node")) as home, \
            contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64", opposite=home)) as client, \
            serving(f"net_af_packet0,iface={client.port}", "http://127.0.0.1:9", tmp_path, port=f'exception_tap = "{tap}"',
                    preexec_fn=home.enter) as program:
        # The kernel has the port's own addresses on the TAP, and serves there what the node does not.
        home.ip("address", "add", f"{V4}/24", "dev", tap)
        home.ip("address", "add", f"{V6}/64", "dev", tap, "nodad")
        (tmp_path / "kernel").write_bytes(os.urandom(100_000))
        other = home.start(sys.executable, "-m", "http.server", "2222", "--bind", "::", "--directory", tmp_path, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        try:
            for host in (V4, f"[{V6}]"):
                got = until(lambda host=host: client.run("curl", "-sS", "--max-time", "5", f"http://{host}:2222/kernel").stdout, "an answer")
                assert got == (tmp_path / "kernel").read_bytes()
        finally:
            other.terminate()
            other.wait()
        answered = client.run("curl", "-sS", "--max-time", "5", "-w", "%{http_code}", f"http://{V4}:{PORT}/a", text=True)
        assert answered.stdout.endswith("502"), answered  # by the node, which has no origin here
        counted(program, "exception_from_kernel")


# SYNs from addresses of the client's network where nobody is, until standard input ends; the seed makes them the same each time.
_SYN_FLOOD = """
import random, select, socket, struct, sys
to, port = socket.inet_aton(sys.argv[1]), int(sys.argv[2])
chance = random.Random(1)
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(100):
        source = to[:3] + bytes([chance.randrange(20, 250)])
        syn = struct.pack("!HHIIBBHHHBBH", chance.randrange(1024, 65535), port, chance.randrange(2**32), 0, 0x60, 2, 65535, 0, 0, 2, 4, 1460)
        total = sum(struct.unpack("!18H", source + to + struct.pack("!HH", 6, len(syn)) + syn))
        total = (total & 0xffff) + (total >> 16)
        syn = syn[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + syn[18:]
        s.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(syn), 0, 0, 64, 6, 0, source, to) + syn, (sys.argv[1], 0))
"""


def test_a_flood_of_syns_keeps_nobody_out(client, served, nginx_origin):
    data = os.urandom(300_000)
    nginx_origin.put("/song.mp4", data)
    assert curl(client, "/song.mp4", V4) == data
    flood = client.start(sys.executable, "-c", _SYN_FLOOD, V4, PORT, stdin=subprocess.PIPE)
    try:
        counted(served, "tcp_cookies_sent", 10_001)  # the half-open connections are full
        for number in range(10):
            assert curl(client, "/song.mp4", (V4, V6)[number % 2]) == data
    finally:
        flood.communicate(timeout=20)
    assert flood.returncode == 0
    counted(served, "tcp_cookies_accepted")


def test_connections_can_be_looked_at(client, served, nginx_origin):
    nginx_origin.put("/a", b"x" * 1000)
    asked = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); " \
            "s.sendall(b'GET /a HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n'); print(s.recv(12).decode(), s.getsockname()[1], flush=True); sys.stdin.read()"
    idle = client.start(sys.executable, "-c", asked, V4, PORT, stdin=subprocess.PIPE)
    head, own_port = idle.stdout.readline().decode().rsplit(" ", 1)
    assert head == "HTTP/1.1 200"

    def shown() -> dict:
        status, answer = served.call("GET", f"/v1/connections?peer={THEIR_V4}:{int(own_port)}")
        assert status == 200 and answer["schema"] == 1 and answer["silent_workers"] == 0, answer
        [connection] = answer["connections"]
        return connection

    # The client's acknowledgment may be delayed.
    connection = until(lambda: (one := shown())["acknowledged_bytes"] > 1000 and one, "the response is acknowledged")
    assert connection["local"] == f"{V4}:{PORT}" and connection["state"] == "established"
    assert connection["congestion_window_bytes"] >= 10 * 1400
    idle.communicate(timeout=20)
    assert served.call("GET", f"/v1/connections?peer={THEIR_V4}:1")[0] == 404
