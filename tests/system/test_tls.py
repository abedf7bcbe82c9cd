"""What a node's TLS is over time and under load: sessions resumed across workers, early data, bytes of long downloads, listeners that read
slowly, links that lose. What an operator does with it is in test_https_config.py."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import hashlib
import secrets
import time

import pytest
from dpdk_support import THEIR_V4, THEIR_V6, V4, V6, digest, needs_dpdk, serving, transport
from link_support import TRANSPORT, at_home
from namespace_support import Client
from node_support import group, until
from origin_support import Nginx, content, free_port
from tls_client_support import AES_128, CHACHA, DATA, SUITES, Hello, Ticket, TlsWire, record
from tls_support import SslWire, TlsNode, once, tls_table
from tls_tools_support import curl, get, s_client, s_server
from wire_support import NAME, request

KIB, MIB = 1024, 1024 * 1024
SONG = content(300_000)


@pytest.fixture
def start(ending, origin, leaf):
    """start(tls, ...) is a node over nginx."""
    origin.put("/song", SONG)
    return lambda tls="", leaves=(), **options: ending.enter_context(TlsNode(group(origin.url), list(leaves) or [leaf], tls, **options))


# --- resumption ---


def ticket_of(port: int, **hello):
    with TlsWire(port, hello=Hello(**hello)) as wire:
        assert wire.ask("/song").body == SONG
        assert not wire.resumed
        return wire.tickets[0]


def resumes(port: int, ticket, **hello) -> bool:
    """Served in any case, and with a fresh Diffie-Hellman exchange (TlsWire insists)."""
    with TlsWire(port, hello=Hello(ticket=ticket, **hello)) as wire:
        assert wire.ask("/song").body == SONG
        return wire.resumed


def test_sessions_resume_on_every_worker(ca, start):
    node = start(workers=4)
    ticket = ticket_of(node.tls_port)
    assert 0 < ticket.lifetime_s <= 86_400 and ticket.early_data_bytes == 0
    assert [resumes(node.tls_port, ticket) for _ in range(20)] == 20 * [True]
    context = ca.context("1.2")
    with SslWire(node.tls_port, context) as first:
        assert first.ask("/song").body == SONG and not first.resumed
        for _ in range(20):
            with SslWire(node.tls_port, context, session=first.socket.session) as wire:
                assert wire.ask("/song").body == SONG and wire.resumed
    node.counted("handshakes_resumed", 40)
    node.counted("handshakes_finished", 42)
    assert node.tls_counters()["handshakes_finished"] == 42


def test_each_connection_brings_the_next_ticket(start):
    node = start()
    ticket = ticket_of(node.tls_port)
    for _ in range(3):
        with TlsWire(node.tls_port, hello=Hello(ticket=ticket)) as wire:
            assert wire.ask("/song").body == SONG and wire.resumed
            assert wire.tickets[0].identity != ticket.identity
            ticket = wire.tickets[0]


@once
def test_what_a_session_is_bound_to(ca, start):
    """A ticket that does not fit is no error: the handshake is a full one."""
    node = start(leaves=[ca.issue(NAME), ca.issue("other.example")])
    ticket = ticket_of(node.tls_port)
    assert resumes(node.tls_port, ticket)
    assert not resumes(node.tls_port, ticket, server_name="other.example")
    assert not resumes(node.tls_port, ticket, server_name=None)
    assert not resumes(node.tls_port, ticket, protocols=("http/1.1",))
    assert not resumes(node.tls_port, ticket, suites=(CHACHA,))
    assert resumes(node.tls_port, ticket, suites=(AES_128,))
    for spoilt in (ticket.identity[:-1], ticket.identity[:-1] + bytes([ticket.identity[-1] ^ 1]), b"x", secrets.token_bytes(2000)):
        assert not resumes(node.tls_port, type(ticket)(spoilt, ticket.secret, ticket.age_add, ticket.lifetime_s, ticket.suite))


@once
def test_a_resumption_without_diffie_hellman_is_not_offered(start):
    """psk_ke alone (RFC 8446 4.2.9) would give up forward secrecy."""
    node = start()
    ticket = ticket_of(node.tls_port)
    assert not resumes(node.tls_port, ticket, modes=(0,))
    assert resumes(node.tls_port, ticket, modes=(0, 1))


# --- early data, which nobody was told he may send (RFC 8446 4.2.10) ---


def strange_ticket(suite: int = AES_128) -> Ticket:
    return Ticket(secrets.token_bytes(200), secrets.token_bytes(hashlib.new(SUITES[suite][0]).digest_size), age_add=0, lifetime_s=3600, suite=suite)


def test_early_data_is_passed_over(start):
    """With a ticket the node resumes, and with one that it cannot open; what follows is answered, what was early is not."""
    node = start()
    ticket = ticket_of(node.tls_port)
    with TlsWire(node.tls_port, hello=Hello(ticket=ticket, early_data=True)) as wire:
        assert wire.resumed
        assert wire.ask("/song").body == SONG
    for suite in SUITES:
        with TlsWire(node.tls_port, hello=Hello(ticket=strange_ticket(suite), early_data=True, suites=(suite,))) as wire:
            assert not wire.resumed
            assert wire.ask("/song").body == SONG
    node.counted("handshakes_finished", 5)
    assert node.tls_counters()["handshakes_failed"] == 0


def early_records(port: int, count: int) -> TlsWire:
    """After the node's flight and so many early records of 1 KiB."""
    wire = TlsWire(port, hello=Hello(ticket=strange_ticket(), early_data=True), handshake=False)
    wire.send_hello()
    for _ in range(count):
        wire.raw(record(DATA, secrets.token_bytes(1024)))
    return wire


def test_early_data_has_an_end(start):
    """As much as servers announce is passed over, in one piece with the hello or not, and not without end."""
    node = start()
    with early_records(node.tls_port, 16) as wire:
        wire.finish(wire.read_flight())
        assert wire.ask("/song").body == SONG
    with early_records(node.tls_port, 24) as wire:
        wire.read_flight()
        with contextlib.suppress(ConnectionError):
            while wire.socket.recv(4096):  # its alert
                pass
    node.counted("handshakes_failed", 1)


@pytest.fixture(scope="module")
def early_session(ca, leaf, tmp_path_factory):
    """OpenSSL's, of a server with the node's name that takes early data."""
    file, port = tmp_path_factory.mktemp("early") / "session", free_port()
    with at_home(), s_server(leaf, port, "-www", "-max_early_data", "16384"):
        assert s_client(ca, port, "-sess_out", str(file), send=get("/")).code == 0
    return file


@pytest.mark.parametrize("groups", ["X25519", "P-521:X25519"])  # the second is asked again, which ends early data another way
@pytest.mark.parametrize("size", [100, 16_000])
def test_openssl_sends_early_data_meant_for_another(ca, start, early_session, tmp_path, groups, size):
    early = tmp_path / "early"
    early.write_bytes(get("/early").ljust(size, b"x"))
    node = start()
    done = s_client(ca, node.tls_port, "-sess_in", str(early_session), "-early_data", str(early), "-groups", groups, send=get("/song"))
    assert SONG in done.bytes, done.text[-2000:]
    done.says("Early data was rejected", "New, TLSv1.3")
    node.counted("handshakes_finished", 1)
    assert node.tls_counters()["handshakes_failed"] == 0 and node.counters()["requests"] == 1


@once
def test_no_tickets_where_they_are_off(ca, start):
    node = start("tickets = false")
    with TlsWire(node.tls_port) as wire:
        assert wire.ask("/song").body == SONG and wire.tickets == []
    with SslWire(node.tls_port, ca.context("1.2")) as wire:
        assert not wire.socket.session.has_ticket


# --- what is agreed on ---


@once
@pytest.mark.parametrize(("options", "group"), [
    (("-tls1_3", "-groups", "X25519:P-256"), "X25519"),
    (("-tls1_3", "-groups", "P-256:P-384"), "prime256v1"),
    (("-tls1_2", "-groups", "P-256:X25519"), "X25519"),
    (("-tls1_2", "-groups", "P-384"), "secp384r1"),
])
def test_the_group_is_the_first_of_ours_that_costs_no_round_trip(ca, start, options, group):
    node = start(leaves=[ca.issue(NAME, kind="rsa")])
    done = s_client(ca, node.tls_port, *options, send=get("/song"))
    assert SONG in done.bytes, done.text[-2000:]
    done.says(f"(Peer|Server) Temp Key: (ECDH, )?{group}")


@once
def test_only_tls_1_3_where_it_is_told_so(ca, start):
    node = start('minimum_version = "1.3"')
    assert curl(ca, node.tls_port, "/song").stdout == SONG
    assert s_client(ca, node.tls_port, "-tls1_2").says("alert protocol version").code != 0


# --- bytes ---


@pytest.mark.parametrize("version", ["1.3", "1.2"])
def test_downloads_are_the_origins_byte_for_byte(ca, start, origin, version):
    node = start(cache='maximum_object = "64M"')
    for size in (0, 1, 64 * KIB, 1 * MIB + 7, 40 * MIB):
        data = origin.put(f"/bytes/{size}", content(size))
        for _ in range(2):
            with SslWire(node.tls_port, ca.context(version)) as wire:
                answer = wire.ask(f"/bytes/{size}")
                assert answer.complete and digest(answer.body) == digest(data)
    with SslWire(node.tls_port, ca.context(version)) as wire:
        for first, last in ((0, 0), (16_383, 16_384), (1_000_000, 20_999_999), (len(data) - 5, len(data) - 1)):
            answer = wire.ask(f"/bytes/{len(data)}", f"Range: bytes={first}-{last}")
            assert answer.status == 206 and digest(answer.body) == digest(data[first:last + 1])


def test_the_first_records_are_small_and_the_others_full(start, origin):
    origin.put("/records", content(1 * MIB))
    node = start()
    with TlsWire(node.tls_port) as wire:
        wire.ask("/records")
        del wire.record_sizes[:]
        time.sleep(1.2)  # a connection that rested begins small again
        wire.ask("/records")
        assert wire.record_sizes[0] <= 4096 and max(wire.record_sizes[:2]) <= 4096
        assert wire.record_sizes.count(16384) > 50


def test_a_connection_ends_with_close_notify(ca, start):
    """SslWire tells a clean end from a cut."""
    node = start()
    for version in ("1.3", "1.2"):
        with SslWire(node.tls_port, ca.context(version)) as wire:
            wire.send(request("/song", "Connection: close"))
            assert wire.response().body == SONG and wire.rest() == b""


@pytest.mark.parametrize("version", ["1.3", "1.2"])
def test_slow_readers_cost_no_memory_and_get_every_byte(ca, start, origin, version):
    """Each has asked for a mebibyte and takes nothing of it: what is promised is sealed when there is room for it, and nowhere before. (A reader
    that pauses without TLS costs 8 KiB, a record of its own would be 17 KiB more, what it asked for 1 MiB.)"""
    data = origin.put("/slow", content(1 * MIB))
    count = 300
    node = start(more="[limits]\nconnections = 1000\nconnections_per_prefix = 1000")
    context = ca.context(version)
    with contextlib.ExitStack() as open_, concurrent.futures.ThreadPoolExecutor(8) as pool:
        with SslWire(node.tls_port, context) as wire:
            assert wire.ask("/slow").body == data
        connected = [open_.enter_context(wire) for wire in pool.map(lambda _: SslWire(node.tls_port, context, receive_buffer=8192), range(count))]
        idle = node.resident_bytes()
        for wire in connected:
            wire.send(request("/slow"))
        node_requests = lambda: node.counters()["requests"]  # noqa: E731
        until(lambda: node_requests() >= count + 1, "all have asked")
        time.sleep(0.3)
        grown = node.resident_bytes() - idle
        assert grown < count * 24 * KIB, f"{grown / count / KIB:.1f} KiB for each slow reader"
        assert [digest(answer.body) for answer in pool.map(lambda wire: wire.response(), connected[::10])] == count // 10 * [digest(data)]


@contextlib.contextmanager
def small_pages():
    """What starts within has no huge pages in its heaps. Where a kernel gives them unasked, as Debian's does, they count before they are full."""
    prctl, set_thp_disable = ctypes.CDLL(None).prctl, 41  # <linux/prctl.h>; children inherit it
    assert prctl(set_thp_disable, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(set_thp_disable, 0, 0, 0, 0)


def test_idle_connections_cost_little(ca, start):
    """The contexts of handshakes are gone (45 KiB each), and no record is kept (17 KiB in each direction)."""
    with small_pages():
        node = start(more="[limits]\nconnections = 2000\nconnections_per_prefix = 2000")
    context = ca.context()
    before = node.resident_bytes()
    with contextlib.ExitStack() as open_, concurrent.futures.ThreadPoolExecutor(8) as pool:
        for wire in pool.map(lambda _: SslWire(node.tls_port, context), range(600)):
            open_.enter_context(wire)
            assert wire.ask("/song", "Range: bytes=0-99").status == 206
        each = (node.resident_bytes() - before) / 600
        assert each < 18 * KIB, f"{each:.0f} bytes for each idle connection"


# --- keys and long downloads ---


def test_keys_are_renewed_in_the_middle_of_a_download(start, origin):
    """The client asks for new keys again and again while records under the old ones are on the way."""
    data = origin.put("/renewed", content(8 * MIB))
    node = start(cache='maximum_object = "16M"')
    with TlsWire(node.tls_port, receive_buffer=32 * KIB) as wire:
        for _ in range(2):
            wire.send(request("/renewed"))
            for _ in range(12):
                wire.update_keys(True)
                wire.hears(256 * KIB)
            assert digest(wire.response().body) == digest(data)
        assert wire.key_updates.count(True) == 0  # ours are new already: nothing to ask for
        assert 2 <= len(wire.key_updates) <= 24
    node.counted("key_updates_received", 24)


# --- links ---

BAD = "loss=0.02,reordering=0.02,duplication=0.01,corruption=0.005"


@needs_dpdk
@pytest.mark.skipif(TRANSPORT == "dpdk", reason="lays a link of its own")
@pytest.mark.parametrize("maximum", ["1.3", "1.2"])
def test_a_bad_link_changes_nothing_of_what_arrives(tmp_path, ca, leaf, maximum):
    """A record whose packets were lost is sealed again, to the same bytes: any other would not open."""
    objects = {f"/{size}": content(size) for size in (64 * KIB, 300_001, 1 * MIB, 8 * MIB)}
    with contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")) as client, contextlib.closing(Nginx()) as origin:
        for path, data in objects.items():
            origin.put(path, data)
        with serving(f"net_af_packet0,iface={client.port}", origin.url, tmp_path, impairment=f"seed=11,{BAD}",
                     port=tls_table((":8443",), [leaf])) as program:
            for address in (V4, V6):
                host = f"[{address}]" if ":" in address else address
                words = [word for path in objects for word in (f"https://{NAME}:8443{path}", "-o", str(tmp_path / path[1:]))]
                done = client.run("curl", "-sS", "--fail", "-Z", "--no-progress-meter", "--tls-max", maximum, "--cacert", ca.file, "--resolve",
                                  f"{NAME}:8443:{host}", "--max-time", 60, *words, timeout=80)
                assert done.returncode == 0, done.stderr
                assert {path: digest((tmp_path / path[1:]).read_bytes()) for path in objects} == {path: digest(data) for path, data in objects.items()}
            counters = transport(program)
            assert counters["tcp_fast_recoveries"] + counters["tcp_loss_probes"] + counters["tcp_timeouts"] > 0, counters
            assert program.tls_counters()["records_refused"] == 0
