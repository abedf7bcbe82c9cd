"""A node with packets of its own under siege: real clients that download, and a Wire beside them for what no honest peer sends."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import itertools
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dpdk_support import PORT, THEIR_V4, THEIR_V6, V4, V6, serving, transport
from namespace_support import Client
from node_support import until
from origin_support import Nginx, content
from packet_support import ACK, TCP, Peer, Wire, address, icmp, packet, segment
from process_support import Program

NODE = {4: address(V4), 6: address(V6)}
KERNEL = {4: address(THEIR_V4), 6: address(THEIR_V6)}
SONG, LONG = content(300_000), content(6_000_000)
# How long a download may take beside an attack. Without one it takes a few hundredths of a second.
PATIENCE_S = 15


def station(family: int, number: int) -> bytes:
    """Stations of the wire, which answer: 100 of IPv4, 65,536 of IPv6 in a /112 of their own."""
    return address(f"198.18.7.{100 + number % 100}") if family == 4 else address(f"fd6e:6663::a:{number:x}")


def nobody(family: int, number: int) -> bytes:
    """Addresses of the link where no one answers."""
    return address(f"198.18.7.{200 + number % 50}") if family == 4 else address(f"fd6e:6663::b:{number & 0xffff:x}")


def _is_station(asked: bytes) -> bool:
    return asked[:3] == NODE[4][:3] and 100 <= asked[3] < 200 if len(asked) == 4 else asked[:14] == station(6, 0)[:14]


@dataclass
class Siege:
    """A node, a real client and a wire beside it."""

    client: Client
    program: Program
    wire: Wire
    ports: Iterator[int] = field(default_factory=lambda: itertools.count(20_000))
    kernel_ports: Iterator[int] = field(default_factory=lambda: itertools.count(10_000))

    def counts(self) -> dict[str, int]:
        return transport(self.program)

    def count(self, name: str) -> int:
        return self.counts()[name]

    def flood(self, made: list[bytes], counter: str, least: int | None = None) -> None:
        """Sends them until the node counted `least`, or half of them once."""
        goal = self.count(counter) + (len(made) // 2 if least is None else least)
        self.wire.flood(made, lambda: self.count(counter) >= goal)

    def proxy(self, name: str) -> int:
        return self.program.counters()[name]

    def open_connections(self) -> int:
        return self.program.status()["connections_open"]

    def connections(self) -> list[dict]:
        status, answer = self.program.call("GET", "/v1/connections?limit=1000")
        assert status == 200 and answer["silent_workers"] == 0
        return answer["connections"]

    def connection(self, peer: bytes, port: int) -> dict | None:
        text = ".".join(map(str, peer)) if len(peer) == 4 else f"[{peer.hex(':', 2)}]"
        status, answer = self.program.call("GET", f"/v1/connections?peer={text}:{port}")
        return answer["connections"][0] if status == 200 and answer["connections"] else None

    def resident_bytes(self) -> int:
        text = Path(f"/proc/{self.program.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS:"))

    def peer(self, family: int, number: int = 1, **options) -> Peer:
        return Peer(self.wire, station(family, number), next(self.ports), NODE[family], **options)

    def song(self, family: int, *more: str) -> str | None:
        """A real client's download; what was wrong with it."""
        host = V4 if family == 4 else f"[{V6}]"
        done = self.client.run("curl", "-sS", "--fail", "--connect-timeout", "10", "--max-time", PATIENCE_S, *more, f"http://{host}:{PORT}/song")
        if done.returncode != 0:
            return done.stderr.decode()
        return None if done.stdout == SONG else f"{len(done.stdout)} wrong bytes"

    @contextlib.contextmanager
    def listeners(self) -> Iterator[None]:
        """Real clients of both families, one download after the other as long as the block lasts, and at least one each."""
        ended = threading.Event()

        def listen(family: int) -> int:
            count = 0
            while not count or not ended.is_set():
                wrong = self.song(family)
                assert wrong is None, f"IPv{family}, download {count}: {wrong}"
                count += 1
            return count

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            downloads = [pool.submit(listen, family) for family in (4, 6)]
            try:
                yield
            finally:
                ended.set()
            for download in downloads:
                download.result()

    @contextlib.contextmanager
    def slow_download(self, family: int) -> Iterator[int]:
        """A real client's download that lasts about three seconds and must be whole; gives the client's port."""
        port = next(self.kernel_ports)
        host = V4 if family == 4 else f"[{V6}]"
        running = self.client.start("curl", "-sS", "--fail", "--max-time", 30, "--limit-rate", "2M", "--local-port", port,
                                    f"http://{host}:{PORT}/long", stderr=-1)
        digest = hashlib.sha256()
        reader = threading.Thread(target=lambda: [digest.update(part) for part in iter(lambda: running.stdout.read(65536), b"")])
        reader.start()
        try:
            until(lambda: running.poll() is not None or self.connection(KERNEL[family], port), "the download has begun")
            yield port
            until(lambda: running.poll() is not None or self.connection(KERNEL[family], port), "the connection is there")
            assert running.poll() is None, "the download was over before the attack was"
        finally:
            code = running.wait(40)
            reader.join()
            error = running.stderr.read().decode()
            running.stdout.close()
            running.stderr.close()
        assert code == 0, error
        assert digest.digest() == hashlib.sha256(LONG).digest()

    def is_calm(self) -> None:
        """Serves as before, and nothing of the attack is left."""

        def is_empty() -> bool:
            for peer in list(self.wire.peers.values()):
                peer.abandon()
            self.wire.refuse_strays()
            return self.open_connections() == 0 and not self.connections()

        until(is_empty, "all connections are gone")
        self.wire.peers.clear()
        accepted = self.count("accepted")
        for family in (4, 6):
            wrong = self.song(family)
            assert wrong is None, wrong
        # Counters are published now and then: those of now are those of what comes next.
        until(lambda: self.count("accepted") >= accepted + 2 and is_empty(), "the last downloads are counted and gone")


def link() -> contextlib.closing[Client]:
    return contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64"))


@contextlib.contextmanager
def besieged(origin: Nginx, folder: Path, limits: str = "") -> Iterator[Siege]:
    origin.put("/song", SONG)
    origin.put("/long", LONG)
    with link() as client:
        # A small window keeps a slow client's download under way.
        client.run("sh", "-c", "echo 4096 65536 65536 > /proc/sys/net/ipv4/tcp_rmem").check_returncode()
        with serving(f"net_af_packet0,iface={client.port}", origin.url, folder, limits=limits or "connections = 2000") as program:
            wire = Wire(client, PORT, _is_station)
            try:
                for family in (4, 6):
                    wire.find_node(NODE[family], station(family, 0))
                siege = Siege(client, program, wire)
                for family in (4, 6):
                    wrong = siege.song(family)
                    assert wrong is None, wrong
                yield siege
            finally:
                wire.close()


def forged(family: int, source: bytes, ports: tuple[int, int], flags: int, sequence: int, acknowledgment: int = 0, **more) -> bytes:
    return packet(source, NODE[family], TCP, segment(source, NODE[family], ports, flags, sequence, acknowledgment, **more))


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def quoted(family: int, peer: bytes, port: int, sequence: int, length: int = 1500) -> bytes:
    """The head of a packet that the node may have sent."""
    made = segment(NODE[family], peer, (PORT, port), ACK, sequence)
    return packet(NODE[family], peer, TCP, made, length=length if family == 4 else length - 40)


def too_big(family: int, router: bytes, mtu: int, quote: bytes) -> bytes:
    return icmp(router, NODE[family], *((3, 4) if family == 4 else (2, 0)), struct.pack("!I", mtu & (0xFFFF if family == 4 else 0xFFFFFFFF)) + quote)
