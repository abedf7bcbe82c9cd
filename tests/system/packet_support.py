"""Packets made by hand on the client's end of a link: stations no kernel knows, TCP peers that behave as a test wants, and whatever nobody
should ever send.

A Wire has a MAC address and addresses of its own, so the client's kernel takes no part in what it does; what it forges in the name of that
kernel goes out all the same. One thread reads what comes for it and answers; the rest of a test's process sends."""

from __future__ import annotations

import collections
import ctypes
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from namespace_support import Namespace
from node_support import until

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ICMP, TCP, ICMPV6 = 1, 6, 58
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
BROADCAST = b"\xff" * 6
OFFER = bytes.fromhex("020405b4 0402 0101")  # segments of 1460 and SACK

_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33


def address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    return source + destination + (struct.pack("!II", length, protocol) if len(source) == 16 else struct.pack("!HH", protocol, length))


def segment(source: bytes, destination: bytes, ports: tuple[int, int], flags: int, sequence: int, acknowledgment: int = 0, *,
            window: int = 65535, options: bytes = b"", payload: bytes = b"", words: int | None = None, damage: int = 0) -> bytes:
    """`words`: a header length that is not the true one. `damage`: what the checksum is wrong by."""
    options += b"\1" * (-len(options) % 4)
    words = 5 + len(options) // 4 if words is None else words
    made = struct.pack("!HHIIBBHHH", *ports, sequence & 0xFFFFFFFF, acknowledgment & 0xFFFFFFFF, words << 4, flags, window, 0, 0) + options + payload
    total = checksum(_pseudo_header(source, destination, TCP, len(made)) + made) ^ damage
    return made[:16] + struct.pack("!H", total) + made[18:]


def packet(source: bytes, destination: bytes, protocol: int, payload: bytes, *, fragment: int = 0, hops: int = 64, damage: int = 0,
           length: int | None = None) -> bytes:
    """`fragment`: flags and offset of IPv4. `length`: one that is not the true one. `damage`: what the header's checksum is wrong by."""
    if len(source) == 16:
        return struct.pack("!IHBB", 0x60000000, len(payload) if length is None else length, protocol, hops) + source + destination + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload) if length is None else length, 7, fragment, hops, protocol, 0, source,
                       destination)
    return head[:10] + struct.pack("!H", checksum(head) ^ damage) + head[12:] + payload


def icmp(source: bytes, destination: bytes, kind: int, code: int, rest: bytes, *, damage: int = 0, hops: int = 64) -> bytes:
    """A packet; `rest` is what follows the checksum."""
    is_v6 = len(source) == 16
    made = struct.pack("!BBH", kind, code, 0) + rest
    total = checksum((_pseudo_header(source, destination, ICMPV6, len(made)) if is_v6 else b"") + made) ^ damage
    return packet(source, destination, ICMPV6 if is_v6 else ICMP, made[:2] + struct.pack("!H", total) + made[4:], hops=hops)


def arp(operation: int, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> bytes:
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + sender_mac + sender + target_mac + target


def advertisement(target: bytes, mac: bytes, to: bytes, *, source: bytes | None = None, flags: int = 0x60000000) -> bytes:
    """A packet; by default solicited and to be believed (override)."""
    return icmp(source or target, to, 136, 0, struct.pack("!I", flags) + target + b"\2\1" + mac, hops=255)


def solicitation(target: bytes, mac: bytes, source: bytes) -> bytes:
    return icmp(source, solicited_node(target), 135, 0, bytes(4) + target + b"\1\1" + mac, hops=255)


def solicited_node(target: bytes) -> bytes:
    return address("ff02::1:ff00:0")[:13] + target[13:]


def group_mac(group: bytes) -> bytes:
    return b"\x33\x33" + group[12:]


def sack(*blocks: tuple[int, int]) -> bytes:
    return struct.pack("!BB", 5, 2 + 8 * len(blocks)) + b"".join(struct.pack("!II", begin & 0xFFFFFFFF, end & 0xFFFFFFFF) for begin, end in blocks)


@dataclass(frozen=True)
class Segment:
    source: bytes
    destination: bytes
    source_port: int
    port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: bytes
    payload: bytes


def _read_ip(frame: bytes) -> tuple[int, bytes, bytes, bytes] | None:
    """Protocol, source, destination and payload."""
    kind = frame[12] << 8 | frame[13]
    if kind == IPV4 and len(frame) >= 34:
        length = (frame[14] & 15) * 4
        return frame[23], frame[26:30], frame[30:34], frame[14 + length:14 + (frame[16] << 8 | frame[17])]
    if kind == IPV6 and len(frame) >= 54:
        return frame[20], frame[22:38], frame[38:54], frame[54:54 + (frame[18] << 8 | frame[19])]
    return None


def _read_segment(source: bytes, destination: bytes, data: bytes) -> Segment:
    source_port, port, sequence, acknowledgment, words, flags, window = struct.unpack("!HHIIBBH", data[:16])
    length = (words >> 4) * 4
    return Segment(source, destination, source_port, port, sequence, acknowledgment, flags, window, data[20:length], data[length:])


class Wire:
    """Ends with close(). `port`: of the node. Answers for every address that `stations` has; what else comes in is in `icmp`, and in
    `segments` when it belongs to no Peer; both forget what is old."""

    MAC = bytes.fromhex("025e10000001")

    def __init__(self, namespace: Namespace, port: int, stations: Callable[[bytes], bool]):
        self._namespace, self._stations, self.port = namespace, stations, port
        self.peers: dict[tuple[bytes, int], Peer] = {}
        self.segments: collections.deque[Segment] = collections.deque(maxlen=10_000)
        self.icmp: collections.deque[tuple[bytes, bytes]] = collections.deque(maxlen=10_000)  # from whom, and the message
        self.questions: collections.Counter[bytes] = collections.Counter()  # the addresses the node asked for
        self.node_mac, self.kernel_mac = b"", b""
        low = int.from_bytes(self.MAC[2:], "big")
        # For our MAC address, or for many.
        self._socket = self._open([(0x30, 0, 0, 0), (0x45, 2, 0, 1), (0x20, 0, 0, 2), (0x15, 0, 1, low), (6, 0, 0, 65535), (6, 0, 0, 0)])
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        self._ended.set()
        self._reader.join()
        self._socket.close()

    def _open(self, instructions: Iterable[tuple[int, int, int, int]]) -> socket.socket:
        """A packet socket on the interface of the namespace, with a filter of the kernel's."""
        result: list[socket.socket | Exception] = []

        def inside() -> None:
            try:
                self._namespace.enter()  # of this thread alone
                [interface] = [name for _, name in socket.if_nameindex() if name != "lo"]
                made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
                made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", (len(program) - 1) // 8, ctypes.addressof(program)))
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
                made.bind((interface, 3))  # ETH_P_ALL
                self.kernel_mac = made.getsockname()[4]
                result.append(made)
            except Exception as failure:
                result.append(failure)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if isinstance(result[0], Exception):
            raise result[0]
        result[0].settimeout(0.05)
        return result[0]

    # --- what goes out ---

    def send(self, made: bytes, *, source: bytes = MAC, destination: bytes | None = None, kind: int | None = None) -> None:
        """A packet in a frame, to the node if nothing else is said."""
        kind = kind or (IPV6 if made[0] >> 4 == 6 else IPV4)
        frame = (destination or self.node_mac) + source + struct.pack("!H", kind) + made
        try:
            self._socket.send(frame)
        except OSError as failure:
            if failure.errno not in (55, 105):  # no buffers: lost, as on any link
                raise

    def send_all(self, packets: Iterable[bytes]) -> None:
        """As fast as it goes: many are lost where the node cannot follow."""
        for made in packets:
            self.send(made)

    def flood(self, packets: Iterable[bytes], seen: Callable[[], bool]) -> None:
        """All of them at once, and again until enough were seen."""
        packets = list(packets)

        def again() -> bool:
            self.send_all(packets)
            return seen()

        until(again, "enough of a flood arrives")

    def ask(self, target: bytes, own: bytes) -> None:
        """Asks for the node's MAC address as a station of ours; the answer is node_mac. Thus the node knows the station's as well."""
        if len(target) == 4:
            self.send(arp(1, self.MAC, own, bytes(6), target), destination=BROADCAST, kind=ARP)
        else:
            self.send(solicitation(target, self.MAC, own), destination=group_mac(solicited_node(target)))

    def find_node(self, target: bytes, own: bytes) -> None:
        def asked() -> bool:
            self.ask(target, own)
            time.sleep(0.02)  # with the next look: no more than 50 questions a second
            return bool(self.node_mac)

        until(asked, "the node answers for its address")

    # --- what comes in ---

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                frame, where = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if where[2] != socket.PACKET_OUTGOING:
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        if frame[12:14] == b"\x08\x06":
            operation, sender_mac, sender, target = frame[21], frame[22:28], frame[28:32], frame[38:42]
            if operation == 1:
                self.questions[target] += 1
                if self._stations(target):
                    self.send(arp(2, self.MAC, target, sender_mac, sender), destination=sender_mac, kind=ARP)
            elif operation == 2 and frame[:6] == self.MAC:
                self.node_mac = sender_mac
            return
        read = _read_ip(frame)
        if read is None:
            return
        protocol, source, destination, payload = read
        if protocol == TCP and frame[:6] == self.MAC:
            arrived = _read_segment(source, destination, payload)
            peer = self.peers.get((destination, arrived.port))
            if peer is None:
                self.segments.append(arrived)
            else:
                peer.receive(arrived)
        elif protocol == ICMPV6 and payload[0] == 135:
            target = payload[8:24]
            self.questions[target] += 1
            if self._stations(target):
                self.send(advertisement(target, self.MAC, source), destination=frame[6:12])
        elif protocol == ICMPV6 and payload[0] == 136:
            if frame[:6] == self.MAC:
                self.node_mac = frame[6:12]
        elif protocol in (ICMP, ICMPV6) and frame[:6] == self.MAC:
            self.icmp.append((source, payload))

    def refuse_strays(self) -> None:
        """Ends the handshakes that nobody here means to complete."""
        while self.segments:
            arrived = self.segments.popleft()
            if arrived.flags & SYN:
                here, there = arrived.destination, arrived.source
                self.send(packet(here, there, TCP, segment(here, there, (arrived.port, self.port), RST, arrived.acknowledgment)))

    def overhear(self, port: int) -> Segment:
        """The next segment of the node's to the client's kernel with this destination port."""
        low = int.from_bytes(self.node_mac[2:], "big")
        listener = self._open([(0x20, 0, 0, 8), (0x15, 0, 1, low), (6, 0, 0, 2048), (6, 0, 0, 0)])

        def heard() -> Segment | None:
            try:
                read = _read_ip(listener.recv(65536))
            except TimeoutError:
                return None
            arrived = _read_segment(*read[1:]) if read and read[0] == TCP else None
            return arrived if arrived and arrived.port == port and arrived.flags & ACK and not arrived.flags & SYN else None

        try:
            return until(heard, f"a segment to port {port}")
        finally:
            listener.close()


class Peer:
    """A TCP connection of a station of the wire's to the node. By itself it completes the handshake, sends `request`, and acknowledges and
    keeps what comes in order; on_segment() is there to be replaced."""

    def __init__(self, wire: Wire, own: bytes, own_port: int, node: bytes, *, request: bytes = b"", window: int = 65535, options: bytes = OFFER):
        self.wire, self.own, self.own_port, self.node = wire, own, own_port, node
        self.request, self.window, self.options = request, window, options
        self.sequence = int.from_bytes(os.urandom(4), "big")
        self.first = self.next = 0  # of the node's numbers: its first byte, and the one expected next
        self.received = bytearray()
        self.arrived: collections.deque[Segment] = collections.deque(maxlen=2000)
        self.established = self.reset = self.finished = False
        wire.peers[own, own_port] = self
        wire.ask(node, own)
        self._initial = self.sequence
        self.sequence += 1  # first: the answer comes on another thread
        self.knock()

    def knock(self) -> None:
        """Its SYN, or the SYN again where a busy link may have lost the first."""
        self._knocked = time.monotonic()
        self.send(SYN, sequence=self._initial, options=self.options, window=65535)

    def insists(self) -> bool:
        """Whether the connection is established; if not, knocks again each second."""
        if not self.established and time.monotonic() > self._knocked + 1:
            self.knock()
        return self.established

    def is_gone(self) -> bool:
        """Whether it was reset; if not, shows itself each second: the reset is said once, and may be lost."""
        if not self.reset and time.monotonic() > self._knocked + 1:
            self._knocked = time.monotonic()
            self.send(ACK)
        return self.reset

    def made(self, flags: int, *, sequence: int | None = None, acknowledgment: int | None = None, window: int | None = None,
             options: bytes = b"", payload: bytes = b"") -> bytes:
        return packet(self.own, self.node, TCP, segment(
            self.own, self.node, (self.own_port, self.wire.port), flags, self.sequence if sequence is None else sequence,
            (self.next if acknowledgment is None else acknowledgment) if flags & ACK else 0, window=self.window if window is None else window,
            options=options, payload=payload))

    def send(self, flags: int, **what) -> None:
        self.wire.send(self.made(flags, **what))

    def say(self, payload: bytes) -> None:
        self.send(ACK | PSH, payload=payload)
        self.sequence += len(payload)

    def receive(self, arrived: Segment) -> None:
        self.arrived.append(arrived)
        if arrived.flags & RST:
            self.reset = True
        elif arrived.flags & SYN:
            if self.established:
                # The node has not heard the answer, and so not the request that came with it.
                return self.send(ACK | PSH, sequence=self._initial + 1, payload=self.request) if self.request else self.send(ACK)
            self.first = self.next = arrived.sequence + 1 & 0xFFFFFFFF
            if self.request:
                self.say(self.request)
            else:
                self.send(ACK)
            self.established = True
        elif not self.reset:
            self.on_segment(arrived)

    def on_segment(self, arrived: Segment) -> None:
        if self.take(arrived) or arrived.payload or arrived.flags & FIN:
            self.send(ACK)

    def take(self, arrived: Segment) -> int:
        """Keeps what is in order of it; returns how many sequence numbers that were."""
        before = self.next
        skipped = (self.next - arrived.sequence) & 0xFFFFFFFF
        if skipped > len(arrived.payload) or self.finished:
            return 0
        self.received += arrived.payload[skipped:]
        self.next += len(arrived.payload) - skipped
        if arrived.flags & FIN:
            self.finished = True
            self.next += 1
        self.next &= 0xFFFFFFFF
        return (self.next - before) & 0xFFFFFFFF

    def body(self) -> bytes:
        return bytes(self.received).partition(b"\r\n\r\n")[2]

    def until(self, condition: Callable[[], object], what: str) -> None:
        def is_met() -> object:
            self.insists()
            return condition()

        try:
            until(is_met, what)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; established {self.established}, reset {self.reset}, finished {self.finished}, {len(self.received)} "
                                 f"bytes received, the last segments: {list(self.arrived)[-3:]}") from None

    def hears(self, body: bytes) -> None:
        """Waits for a response with this body."""
        self.until(lambda: self.body() == body, "a response")

    def is_open(self) -> bool:
        return self.established and not self.reset and not self.finished

    def abandon(self) -> None:
        """Ends it with a reset that counts, and hears no more of it."""
        if self.is_open():
            last = self.arrived[-1].acknowledgment if self.arrived else self.sequence
            self.send(RST | ACK, sequence=last)
        self.wire.peers.pop((self.own, self.own_port), None)
