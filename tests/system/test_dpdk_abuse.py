"""The node with packets of its own against what no honest peer sends: floods, forgeries, lies and rubbish, made by hand beside real clients
that download. These must get what they asked for, whole and in time; the counters tell what happened; and nothing stays behind."""

from __future__ import annotations

import contextlib
import random
import struct
import time
from collections.abc import Iterator

import packet_support as packets
import pytest
from dpdk_support import needs_dpdk
from node_support import until
from origin_support import Nginx
from packet_support import ACK, FIN, PSH, RST, SYN, TCP, Wire, address, icmp, packet, segment
from siege_support import KERNEL, NODE, PORT, SONG, Siege, besieged, forged, get, nobody, quoted, station, too_big

pytestmark = needs_dpdk

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def origin() -> Iterator[Nginx]:
    with contextlib.closing(Nginx()) as started:
        yield started


@pytest.fixture(scope="module")
def shared_siege(origin: Nginx, tmp_path_factory) -> Iterator[Siege]:
    with besieged(origin, tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture
def siege(shared_siege: Siege) -> Siege:
    """One node for all tests that leave it as they found it."""
    shared_siege.wire.segments.clear()
    shared_siege.wire.icmp.clear()
    return shared_siege


# --- floods ---


def test_a_flood_of_syns_over_ipv6_keeps_nobody_out(origin, tmp_path):
    with besieged(origin, tmp_path) as siege:  # its half-open connections live on for a while
        _flood_with_syns(siege)


def _flood_with_syns(siege: Siege) -> None:
    chance = random.Random(1)
    syns = []
    for number in range(12_000):
        # A third each from neighbours that are not there, from stations that are, and from far away, where no route leads.
        source = (nobody(6, chance.randrange(65536)), station(6, chance.randrange(65536)), b"\x20\x01\x0d\xb8" + chance.randbytes(12))[number % 3]
        syns.append(forged(6, source, (chance.randrange(1024, 65536), PORT), SYN, chance.randrange(2**32), options=packets.OFFER))
    before = siege.resident_bytes()
    with siege.listeners():
        siege.flood(syns, "tcp_syns_received")
    counts = siege.counts()
    assert counts["tcp_cookies_sent"] > 0 and counts["tcp_half_open"] <= 4096
    assert counts["neighbour_solicitations_sent"] < 2000
    assert siege.resident_bytes() - before < 8 << 20
    siege.is_calm()


@FAMILIES
def test_acknowledgments_for_no_connection_are_answered_at_a_bounded_rate(siege, family):
    chance = random.Random(2)
    storm = [forged(family, station(family, chance.randrange(65536)), (chance.randrange(1024, 65536), PORT), ACK, chance.randrange(2**32),
                    chance.randrange(2**32)) for _ in range(12_000)]
    before, began = siege.counts(), time.monotonic()
    with siege.listeners():
        siege.flood(storm, "tcp_segments_received")
    after, lasted = siege.counts(), time.monotonic() - began
    assert 0 < after["tcp_resets_sent"] - before["tcp_resets_sent"] <= 1000 * (lasted + 1)
    assert after["accepted"] - before["accepted"] < 200  # the listeners' own
    siege.is_calm()


@FAMILIES
def test_echo_requests_are_answered_at_a_bounded_rate(siege, family):
    requests = [icmp(station(family, number), NODE[family], 8 if family == 4 else 128, 0, struct.pack("!HH", 1, number) + bytes(1000))
                for number in range(6000)]
    before, began = siege.count("echo_replies"), time.monotonic()
    with siege.listeners():
        siege.wire.send_all(requests)
    lasted = time.monotonic() - began
    until(lambda: siege.count("echo_replies") > before, "the answers are counted")
    siege.is_calm()  # and all of them
    assert siege.count("echo_replies") - before <= 1000 * lasted + 51


WAITS = 'header_timeout = "1s"\nidle_timeout = "1s"\nsend_timeout = "1s"\n'


@pytest.mark.parametrize(("family", "said"), [
    (4, b"GET /song HT"),
    (6, b""),
])
def test_a_crowd_that_says_nothing_has_places_for_a_bounded_time(origin, tmp_path, family, said):
    with besieged(origin, tmp_path, f"connections = 300\n{WAITS}") as siege:
        for number in range(1500):
            peer = siege.peer(family, number, request=said)
            peer.on_segment = lambda arrived: None  # not even that the node ends is acknowledged
        until(lambda: siege.proxy("connections_refused_total") > 0, "all places are taken")
        # One that was refused is in the list, as closed, until its turn has come.
        alive = [each for each in siege.connections() if each["state"] != "closed"]
        assert siege.open_connections() <= 300 and len(alive) <= 300
        # No place is reserved: a client that comes now is reset. The wait for a request, or its rest, and two for the answer to be taken.
        until(lambda: siege.song(4 + 6 - family) is None, "a real client gets in", 8)
        until(lambda: siege.proxy("timeout_header" if said else "timeout_idle") > 0, "the time-outs are counted")
        siege.wire.peers.clear()
        siege.is_calm()


@FAMILIES
def test_a_crowd_of_one_prefix_takes_its_own_places_only(origin, tmp_path, family):
    limits = f"connections = 300\nconnections_per_prefix = 100\nprefix_v4_bits = 26\nprefix_v6_bits = 112\n{WAITS}"
    with besieged(origin, tmp_path, limits) as siege, siege.listeners():
        # 198.18.7.128/26; the real clients are in 198.18.7.0/26.
        crowd = [siege.peer(family, 30 + number % 60 if family == 4 else number) for number in range(500)]
        until(lambda: siege.proxy("connections_refused_prefix") >= 100, "the prefix is full")
        assert siege.open_connections() <= 102
        until(lambda: siege.proxy("timeout_idle") >= 100, "they were idle for too long")
        for peer in crowd:
            peer.abandon()


# --- lies about a connection of one's own ---


@FAMILIES
def test_acknowledgments_of_what_was_not_sent_are_challenged_now_and_then(siege, family):
    peer = siege.peer(family)
    peer.until(peer.insists, "the handshake")
    before, began = siege.counts(), time.monotonic()
    with siege.listeners():
        lies = [peer.made(ACK, acknowledgment=peer.next + ahead) for ahead in range(1, 2001)]
        lies += [peer.made(ACK, acknowledgment=peer.next - 70_000 * back) for back in range(1, 1001)]
        siege.flood(lies, "tcp_dropped_unacceptable_acknowledgment")
    lasted = time.monotonic() - began
    assert 1 <= siege.count("tcp_challenges_sent") - before["tcp_challenges_sent"] <= 2 * lasted + 1
    peer.say(get("/song"))
    peer.hears(SONG)
    siege.is_calm()


@FAMILIES
def test_an_optimist_gets_no_more_than_it_could_anyway(siege, family):
    """Acknowledges a window ahead of what arrived, all the time: what was not sent does not count, what was is its own loss."""
    peer = siege.peer(family)
    peer.until(peer.insists, "the handshake")

    def hope(arrived) -> None:
        peer.take(arrived)
        peer.send(ACK, acknowledgment=peer.next + 65535)  # not sent yet
        peer.send(ACK)

    peer.on_segment = hope
    with siege.listeners():
        peer.say(get("/song"))
        peer.hears(SONG)
    until(lambda: siege.count("tcp_dropped_unacceptable_acknowledgment") > 0, "the hopes are counted")
    siege.is_calm()


@FAMILIES
def test_acknowledging_byte_by_byte_opens_nothing_faster(siege, family):
    peer = siege.peer(family)
    peer.until(peer.insists, "the handshake")
    first: list[int] = []

    def crumble(arrived) -> None:
        before = peer.next
        if not peer.take(arrived):
            return peer.send(ACK)
        for ahead in range(1, 101):  # each of a byte
            peer.send(ACK, acknowledgment=before + ahead)
        if not first:
            shown = siege.connection(peer.own, peer.own_port)
            first.append(shown["congestion_window_bytes"] - 14_600 if shown else 0)
        peer.send(ACK)

    peer.on_segment = crumble
    with siege.listeners():
        peer.say(get("/song"))
        peer.hears(SONG)
    assert first[0] <= 10 * 1460, "the window grows by the bytes that arrived, not by the acknowledgments (RFC 3465)"
    siege.is_calm()


@FAMILIES
def test_lies_in_sack_blocks_cost_the_liar_only(siege, family):
    peer = siege.peer(family)
    peer.until(peer.insists, "the handshake")
    chance = random.Random(3)
    before = siege.resident_bytes()

    def lie(arrived) -> None:
        peer.take(arrived)
        at = peer.next
        crumb = at + chance.randrange(60_000)
        for blocks in (((at + 100_000, at + 200_000),),  # never sent
                       ((at - 1000, at), (at - 2000, at + 2000)),  # a duplicate, and around what was acknowledged
                       ((at + 500, at + 400),),  # ends before it begins
                       ((at, at),),
                       ((crumb, crumb + 1),),  # crumbs
                       ((at + 2**31 - 1, at + 2**31),),
                       ((peer.first, at), (peer.first, at), (peer.first, at), (peer.first, at))):
            peer.send(ACK, options=packets.sack(*blocks))

    peer.on_segment = lie
    with siege.listeners():
        peer.say(get("/song"))
        peer.hears(SONG)
        duplicates = [peer.made(ACK, options=packets.sack((peer.next - 1460 * (number % 40 + 1), peer.next - 1460 * (number % 40))))
                      for number in range(5000)]
        siege.flood(duplicates, "tcp_duplicates_reported")
    assert siege.resident_bytes() - before < 8 << 20
    siege.is_calm()


@pytest.mark.parametrize(("family", "kind"), [(4, "closed"), (6, "closed"), (6, "crumbs")])
def test_windows_that_stay_shut_are_reset_in_time(origin, tmp_path, family, kind):
    # More than crumbs can make a second, of the last of the crowd too, when only that takes any.
    with besieged(origin, tmp_path, f'connections = 2000\nminimum_send_bytes_per_second = "1M"\n{WAITS}') as siege, siege.listeners():
        before = siege.resident_bytes()
        crowd = []
        for number in range(300):
            peer = siege.peer(family, number, request=get("/song"), window=0 if kind == "closed" else 1)

            def hold(arrived, peer=peer) -> None:
                if kind == "crumbs":
                    peer.take(arrived)
                peer.send(ACK)

            peer.on_segment = hold
            crowd.append(peer)
        until(lambda: all([peer.insists() for peer in crowd]), "they are in")
        assert siege.resident_bytes() - before < 32 << 20
        began = time.monotonic()
        until(lambda: all([peer.is_gone() for peer in crowd]), "all of them are reset")
        assert time.monotonic() - began < 15
        assert siege.proxy("timeout_send") >= 300
        if kind == "closed":
            assert siege.count("tcp_window_probes") > 0
            # The byte of a probe, however often.
            assert max(sum(len(each.payload) for each in peer.arrived) for peer in crowd) < 100


def test_a_window_that_is_shut_for_a_while_is_waited_for(siege):
    peer = siege.peer(6, request=get("/song"), window=0)
    peer.on_segment = lambda arrived: peer.send(ACK)
    peer.until(lambda: siege.count("tcp_window_probes") >= 3, "the window is probed")
    peer.on_segment = type(peer).on_segment.__get__(peer)
    peer.window = 65535
    peer.send(ACK)
    peer.hears(SONG)
    siege.is_calm()


# --- forgeries in another's name ---


@FAMILIES
def test_resets_from_beside_the_path_break_nothing(siege, family):
    chance = random.Random(4)
    with siege.slow_download(family) as port:
        before = siege.counts()
        exact = siege.wire.overhear(port).acknowledgment  # what the node expects next
        # In the window, one after the other, but for the one that would be right; the reply is one ACK each half second.
        inside = [forged(family, KERNEL[family], (port, PORT), RST, exact + 1 + chance.randrange(60_000)) for _ in range(500)]
        siege.flood(inside, "tcp_challenges_withheld")
        # Over all sequence numbers, and over all ports.
        sweep = [forged(family, KERNEL[family], (port, PORT), RST | number % 2 * ACK, exact + 1 + number * 262_144, chance.randrange(2**32))
                 for number in range(1, 16_384, 2)]
        sweep += [forged(family, KERNEL[family], (1024 + number, PORT), RST, chance.randrange(2**32)) for number in range(0, 60_000, 13)
                  if 1024 + number != port]
        siege.flood(sweep, "tcp_segments_received")
    after = siege.counts()
    assert after["resets_received"] == before["resets_received"]
    assert 1 <= after["tcp_challenges_sent"] - before["tcp_challenges_sent"] < 100
    siege.is_calm()


@FAMILIES
def test_forged_syns_and_data_break_nothing(siege, family):
    chance = random.Random(5)
    before = siege.counts()
    with siege.slow_download(family) as port:
        heard = siege.wire.overhear(port)
        exact, theirs = heard.acknowledgment, heard.sequence
        ports = (port, PORT)
        siege.flood([forged(family, KERNEL[family], ports, SYN, exact + number % 2 * chance.randrange(2**32), options=packets.OFFER)
                     for number in range(500)], "tcp_segments_received")
        siege.wire.send_all(forged(family, KERNEL[family], ports, SYN | ACK, exact, theirs) for _ in range(100))
        # Data in the window by one who does not know what the node sent, and by one who has no idea of either.
        siege.flood([forged(family, KERNEL[family], ports, ACK | PSH, exact + number, theirs + 2**30 + number * 1000,
                            payload=b"GET /evil HTTP/1.1\r\n") for number in range(500)], "tcp_dropped_unacceptable_acknowledgment")
        siege.flood([forged(family, KERNEL[family], ports, ACK | PSH | FIN, exact + 2**16 + chance.randrange(2**31), chance.randrange(2**32),
                            payload=bytes(100)) for _ in range(500)], "tcp_dropped_out_of_window")
    after = siege.counts()
    assert after["tcp_received_bytes"] - before["tcp_received_bytes"] < 2000  # requests of real clients
    siege.is_calm()


@FAMILIES
def test_icmp_errors_end_no_connection(siege, family):
    router = station(family, 99)
    before = siege.counts()
    with siege.slow_download(family) as port:
        heard = siege.wire.overhear(port)
        quote = quoted(family, KERNEL[family], port, heard.sequence)
        kinds = ([(3, code) for code in range(16) if code != 4] + [(4, 0), (5, 1), (11, 0), (11, 1), (12, 0)] if family == 4 else
                 [(1, code) for code in range(8)] + [(3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (137, 0)])
        siege.flood([icmp(router, NODE[family], kind, code, bytes(4) + quote) for kind, code in kinds for _ in range(50)], "tcp_errors_ignored")
        # Quotes cut short anywhere, and rubbish.
        siege.wire.send_all(icmp(router, NODE[family], kind, code, (bytes(4) + quote)[:length]) for kind, code in kinds[:4] for length in range(40))
        siege.wire.send_all(too_big(family, router, 1280, random.Random(6).randbytes(60)) for _ in range(100))
        # What nothing in flight has as its number.
        siege.flood([too_big(family, router, 1280, quoted(family, KERNEL[family], port, heard.sequence - number * 200_000))
                     for number in range(1, 200)], "tcp_errors_ignored")
        assert siege.connection(KERNEL[family], port)["packet_bytes"] == 1500
    after = siege.counts()
    assert after["tcp_path_mtu_reductions"] == before["tcp_path_mtu_reductions"]
    assert after["icmp_errors_sent"] == before["icmp_errors_sent"]
    siege.is_calm()


@FAMILIES
def test_absurd_path_sizes_are_not_believed(siege, family):
    """By one who knows what is in flight: sizes that no path has change nothing, others at most make packets small."""
    absurd = [1, 67, 1500, 9000, 65535] + ([0, 1279, 2**32 - 1] if family == 6 else [])
    smallest = 552 if family == 4 else 1280
    with siege.listeners():
        for number, (mtu, becomes) in enumerate([*((each, 1500) for each in absurd), (1400, 1400), (68 if family == 4 else 1280, smallest)]):
            peer = siege.peer(family, 10 + number, request=get("/song"))
            peer.on_segment = lambda arrived: None
            peer.until(lambda peer=peer: len(peer.arrived) > 5, "some of it is in flight")
            before = siege.count("icmp_path_errors")
            siege.wire.send(too_big(family, station(family, 99), mtu, quoted(family, peer.own, peer.own_port, peer.first)))
            until(lambda before=before: siege.count("icmp_path_errors") > before, "it was looked at")
            assert siege.connection(peer.own, peer.own_port)["packet_bytes"] == becomes, mtu
            if becomes < 1500:
                peer.until(lambda peer=peer, becomes=becomes: any(each.sequence == peer.first and 0 < len(each.payload) <= becomes - 40
                                                                  for each in peer.arrived), "sent again, in small packets")
                peer.on_segment = type(peer).on_segment.__get__(peer)
                peer.send(ACK)
                peer.hears(SONG)
            peer.abandon()
    siege.is_calm()


# --- rubbish ---


def _fragments() -> dict[int, list[bytes]]:
    """SYNs in parts, of which the node takes none."""
    v4, v6 = station(4, 5), station(6, 5)
    syn4 = segment(v4, NODE[4], (33_000, PORT), SYN, 1, options=packets.OFFER)
    syn6 = segment(v6, NODE[6], (33_000, PORT), SYN, 1, options=packets.OFFER)

    def part6(offset: int, more: int, data: bytes) -> bytes:
        return packet(v6, NODE[6], 44, struct.pack("!BBHI", TCP, 0, offset << 3 | more, 9) + data)

    return {4: [packet(v4, NODE[4], TCP, syn4[:8], fragment=0x2000), packet(v4, NODE[4], TCP, syn4[8:], fragment=1),
                packet(v4, NODE[4], TCP, syn4[:24], fragment=0x2000), packet(v4, NODE[4], TCP, syn4[16:], fragment=2),
                packet(v4, NODE[4], TCP, bytes(8), fragment=0x1FFF), packet(v4, NODE[4], TCP, b"", fragment=0x2000)],
            6: [part6(0, 1, syn6[:8]), part6(1, 0, syn6[8:]), part6(0, 1, syn6[:24]), part6(2, 0, syn6[16:]), part6(0x1FFF, 1, bytes(8)),
                part6(0x1FFF, 0, b"")]}


@FAMILIES
def test_parts_of_packets_are_dropped(siege, family):
    parts = _fragments()[family] * 200
    with siege.listeners():
        if family == 6:
            siege.flood(parts, "dropped_fragment")
            assert not any(each.port == 33_000 for each in siege.wire.segments)
        else:  # net_af_packet has the kernel put parts of IPv4 together, and drops what does not fit
            siege.wire.send_all(parts)
    siege.is_calm()


def test_chains_of_ipv6_extension_headers(siege):
    own = station(6, 5)
    syn = segment(own, NODE[6], (33_010, PORT), SYN, 1, options=packets.OFFER)

    def options(following: int, content: bytes = b"\1\4" + bytes(4)) -> bytes:
        return bytes((following, len(content) // 8)) + content

    def chain(*headers: tuple[int, bytes]) -> bytes:
        return packet(own, NODE[6], headers[0][0], b"".join(data for _, data in headers) + syn)

    cases = {
        "dropped_too_many_extensions": chain(*[(60, options(60))] * 40, (60, options(TCP))),
        "dropped_bad_header": chain((60, options(0)), (0, options(TCP))),  # hop-by-hop, not at the front
        "dropped_source_route": chain((43, bytes((TCP, 2, 0, 1)) + bytes(4) + own)),
        "dropped_unknown_option": chain((60, options(TCP, b"\x9e\4" + bytes(4)))),
        "dropped_no_next_header": packet(own, NODE[6], 59, syn),
    }
    cut = [packet(own, NODE[6], 60, options(TCP)[:length]) for length in range(8)] + [packet(own, NODE[6], 60, bytes((TCP, 255)) + bytes(14))]
    with siege.listeners():
        for name, made in cases.items():
            siege.flood([made] * 50, name)
        siege.wire.send_all(cut)
        assert not any(each.port == 33_010 for each in siege.wire.segments)
        assert {message[0] for _, message in siege.wire.icmp} == {4}, "parameter problems, and nothing else"
        # These are in order: whole behind a fragment header (RFC 6946), and behind options nobody minds.
        for made in (chain((44, bytes((TCP, 0, 0, 0, 0, 0, 0, 9)))), chain((0, options(60)), (60, options(TCP, b"\x1e\4" + bytes(4))))):
            siege.wire.refuse_strays()
            siege.wire.send(made)
            until(lambda: any(each.port == 33_010 and each.flags & SYN for each in siege.wire.segments), "a SYN-ACK")
    assert siege.count("icmp_errors_sent") <= 250
    siege.is_calm()


@FAMILIES
def test_damaged_packets_are_dropped_by_their_reason(siege, family):
    own, node = station(family, 6), NODE[family]
    ports = (33_001, PORT)
    syn = segment(own, node, ports, SYN, 1, options=packets.OFFER)
    other = address("10.1.2.3") if family == 4 else address("::ffff:10.1.2.3")
    loopback, many = (address("127.0.0.1"), address("224.0.0.1")) if family == 4 else (address("::1"), address("ff02::1"))
    whole = packet(own, node, TCP, syn)
    cases: dict[str, list[bytes]] = {
        "dropped_tcp_checksum": [packet(own, node, TCP, segment(own, node, ports, SYN, 1, damage=0x0101))],
        "dropped_icmp_checksum": [icmp(own, node, 8 if family == 4 else 128, 0, bytes(20), damage=0x0101)],
        "dropped_truncated": [packet(own, node, TCP, syn, length=2000), whole[:18], whole[:30]],
        "dropped_martian_source": [forged(family, source, ports, SYN, 1) for source in
                                   (loopback, many, bytes(len(own)), *([b"\xff" * 4] if family == 4 else [other]))],
        "tcp_dropped_malformed": [packet(own, node, TCP, segment(own, node, ports, SYN, 1, words=words)) for words in (0, 4, 15)] +
                                 [forged(family, own, (0, PORT), SYN, 1)],
        "dropped_bad_header": [b"\x45" + whole[1:2] + b"\0\x10" + whole[4:], b"\x44" + whole[1:]] if family == 4 else [],
        "dropped_bad_header_checksum": [packet(own, node, TCP, syn, damage=0x0101)] if family == 4 else [],
    }
    with siege.listeners():
        for name, wrong in cases.items():
            for made in wrong:
                siege.flood([made] * 20, name)
        for name, way in {"dropped_source_mac_is_group": {"source": b"\x03" + bytes(5)}, "dropped_group_frame": {"destination": packets.BROADCAST},
                          "dropped_other_station": {"destination": b"\x02\x12\x34\x56\x78\x9a"}}.items():
            before = siege.count(name)
            siege.wire.send(whole, **way)
            until(lambda name=name, before=before: siege.count(name) > before, name)
    assert not any(each.port == ports[0] for each in siege.wire.segments)
    siege.is_calm()


@FAMILIES
def test_impossible_flags_and_options(siege, family):
    own = station(family, 7)
    peer = siege.peer(family, 8, request=get("/song"))
    peer.hears(SONG)
    siege.wire.ask(NODE[family], own)
    with siege.listeners():
        # To nobody: no answer but to what has an ACK and no RST, which is reset.
        for flags in range(64):
            siege.wire.segments.clear()
            siege.wire.send(forged(family, own, (34_000 + flags, PORT), flags, 1, 1))
            siege.wire.send(forged(family, own, (33_999, PORT), ACK, 1, 1))  # behind it: when this is answered, that one was seen
            until(lambda: any(each.port == 33_999 for each in siege.wire.segments), "an answer to the second")
            answers = [each.flags for each in siege.wire.segments if each.port == 34_000 + flags]
            if flags & RST:
                assert not answers, f"{flags:06b}"
            elif flags & ACK:
                assert answers == [RST], f"{flags:06b}"
            elif flags & SYN and not flags & FIN:
                assert answers[:1] == [SYN | ACK], f"{flags:06b}"
            else:
                assert not answers, f"{flags:06b}"
        # In a connection: none of it but a FIN in order (and an exact RST) does anything.
        for flags in (0, FIN, PSH, SYN | FIN, SYN | FIN | PSH | 32, FIN | PSH | 32, SYN | RST, SYN | FIN | RST | ACK, 0xC0):
            peer.send(flags, sequence=peer.sequence + (1 if flags & RST else 0))
        # Options: none long enough, cut short, of every length that is wrong.
        for number, options in enumerate((b"\2\0", b"\2\1", b"\2\4\5", b"\x08\x0a\0", b"\3\0", b"\5\xff" + bytes(10), b"\xfe\0", b"\2\4\0\0",
                                          b"\3\3\xff", b"\5\3\0", b"\x08\2", bytes(40), b"\1" * 40, b"\x22\2" * 20)):
            siege.wire.send(forged(family, own, (35_000 + number, PORT), SYN, 1, options=options))
            peer.send(ACK, options=options)
        before = len(peer.received)
        peer.say(get("/song"))
        peer.until(lambda: len(peer.received) - before > len(SONG) and peer.received.endswith(SONG[-100:]), "the connection serves again")
    siege.is_calm()


@FAMILIES
def test_packets_in_the_nodes_own_name(siege, family):
    """LAND: source and destination are the node's."""
    node = NODE[family]
    land = [forged(family, node, (PORT, PORT), SYN, number, options=packets.OFFER) for number in range(200)]
    land += [forged(family, node, (number, PORT), flags, 1, 1) for number in range(2000, 2200) for flags in (SYN, ACK, SYN | ACK)]
    land += [icmp(node, node, 8 if family == 4 else 128, 0, bytes(100)) for _ in range(200)]
    land += [packet(node, node, 17, struct.pack("!HHHH", 7, 7, 8, 0)) for _ in range(200)]
    with siege.listeners():
        siege.flood(land, "packets_received")
    siege.is_calm()


# --- neighbours ---


def _claim(siege: Siege, family: int, claimed: bytes, mac: bytes) -> None:
    """Says unasked that `mac` has an address."""
    if family == 4:
        for operation in (1, 2):
            siege.wire.send(packets.arp(operation, mac, claimed, bytes(6), claimed), destination=packets.BROADCAST, source=mac, kind=packets.ARP)
    else:
        everyone = address("ff02::1")
        siege.wire.send(packets.advertisement(claimed, mac, everyone, flags=0x20000000), destination=packets.group_mac(everyone), source=mac)


@FAMILIES
def test_a_neighbour_that_moves_is_followed(siege, family):
    """Whoever is on the link can take a neighbour's place for a moment, as in any network without port security; it is counted, and the
    neighbour's next word takes it back."""
    before = siege.count("neighbour_moves")
    peer = siege.peer(family, 9, request=get("/song"))
    peer.hears(SONG)
    _claim(siege, family, peer.own, bytes.fromhex("025e10000066"))
    until(lambda: siege.count("neighbour_moves") > before, "the move is counted")
    _claim(siege, family, peer.own, Wire.MAC)
    at = len(peer.received)
    peer.say(get("/song"))
    peer.until(lambda: len(peer.received) - at > len(SONG), "the song is there again")
    siege.is_calm()


@FAMILIES
def test_whoever_claims_our_address_is_counted_and_answered(siege, family):
    with siege.listeners():
        for number in range(100):
            _claim(siege, family, NODE[family], bytes.fromhex("025e100000") + bytes((number,)))
        until(lambda: siege.count("neighbour_conflicts") >= 100, "the conflicts are counted")
    # The client's kernel may have believed it; our defence, and the next question, put that right.
    siege.is_calm()


@FAMILIES
def test_a_scan_of_the_link_pushes_no_neighbour_out(siege, family):
    """Questions from every address there is, as if each were about to talk."""
    chance = random.Random(8)
    node = NODE[family]
    with siege.listeners():
        for number in range(4000):
            if family == 4:
                siege.wire.send(packets.arp(1, Wire.MAC, nobody(4, number), bytes(6), node), destination=packets.BROADCAST, kind=packets.ARP)
            else:
                own = nobody(6, chance.randrange(65536))
                siege.wire.send(packets.solicitation(node, Wire.MAC, own), destination=packets.group_mac(packets.solicited_node(node)))
        # Messages cut short.
        whole = packets.arp(1, Wire.MAC, station(4, 1), bytes(6), NODE[4])
        for length in range(len(whole)):
            siege.wire.send(whole[:length], kind=packets.ARP)
    until(lambda: siege.count("neighbour_answers_sent") > 0, "the answers are counted")
    siege.is_calm()
