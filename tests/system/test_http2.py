"""HTTP/2 in clear text as real clients speak it: curl, nghttp and h2load see the origin's bytes, and floods end their own connection only."""

from __future__ import annotations

import re
import subprocess

import http2_support as h2
import pytest
from http2_support import END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Http2, fields, frame
from link_support import authority
from node_support import Node, group, until
from origin_support import ScriptedOrigin, content
from wire_support import curl

SONG = content(1_000_000)
PRIOR = "--http2-prior-knowledge"


@pytest.fixture(scope="module")
def origin():
    server = ScriptedOrigin()
    server.on("/song", lambda asked: asked.answer(SONG))
    server.on("/small", lambda asked: asked.answer(b"small"))
    server.on("/echo", lambda asked: asked.answer(asked.body, cache="no-store"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def node(origin):
    with Node(group(origin.url)) as started:
        yield started


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return result.stdout.decode("latin-1") + result.stderr.decode("latin-1")


def test_curl_gets_every_byte_cold_and_warm(node):
    for _ in range(2):
        _, head, body = curl(node.port, "/song", PRIOR)
        assert head.startswith("HTTP/2 200")
        assert body == SONG
    assert "hit" in head


def test_ranges_and_content(node):
    _, head, body = curl(node.port, "/song", PRIOR, "-r", "1000-1999")
    assert (head[:10], body) == ("HTTP/2 206", SONG[1000:2000])
    assert curl(node.port, "/echo", PRIOR, "--data-binary", "x" * 100_000)[2] == b"x" * 100_000


def test_both_protocols_share_the_cache(node):
    curl(node.port, "/small", PRIOR)
    _, head, _ = curl(node.port, "/small", "--http1.1")
    assert head.startswith("HTTP/1.1 200")
    assert re.search(r"Cache-Status: .*hit", head)


def test_nghttp_sees_no_fault(node):
    said = run("nghttp", "-nv", "-m", "20", "-H", ":authority: music.example", f"http://{authority(node.port)}/song")
    assert said.count(":status: 200") == 20
    assert "INVALID" not in said
    assert "RST_STREAM" not in said


def test_h2load_finishes_all_it_began(node):
    said = run("h2load", "-n", "2000", "-c", "20", "-m", "20", "-H", ":authority: music.example", f"http://{authority(node.port)}/small")
    assert "2000 succeeded, 0 failed, 0 errored" in said


def test_a_rapid_reset_ends_its_connection_and_nobody_elses(node):
    before = node.counters()
    with Http2(node.port) as good, Http2(node.port) as bad:
        good.get(1)
        for stream in range(1, 4001, 2):
            bad.send(bad.head(stream, fields(path="/echo")), frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
        bad.connection_error(h2.ENHANCE_YOUR_CALM)
        assert good.response(1)[2] == SONG
    assert node.counters()["http2_limit_resets"] == before["http2_limit_resets"] + 1


def test_a_flood_of_pings_ends_its_connection(node):
    with Http2(node.port) as bad:
        bad.send(*[frame(PING, 0, 0, b"12345678")] * 5000)
        bad.connection_error(h2.ENHANCE_YOUR_CALM)


def test_a_listener_without_window_keeps_no_stream(origin):
    with Node(group(origin.url), '[limits]\nsend_timeout = "1s"') as node, Http2(node.port, (h2.INITIAL_WINDOW_SIZE, 10)) as peer:
        peer.get(1)
        assert peer.await_frame(lambda each: each.type == RST_STREAM).error == h2.CANCEL
        assert node.counters()["http2_stalled_streams"] == 1


def test_draining_finishes_streams_and_says_goodbye_twice(origin):
    with Node(group(origin.url), drain="30s") as node, Http2(node.port, (h2.INITIAL_WINDOW_SIZE, 100_000)) as peer:
        peer.get(1)
        peer.await_frame(lambda each: each.type == HEADERS)
        node.process.terminate()
        farewells = []
        while not farewells or farewells[-1] == 0x7FFFFFFF:
            got = peer.next()
            if got.type == h2.GOAWAY:
                assert got.error == h2.NO_ERROR
                farewells.append(int.from_bytes(got.payload[:4], "big"))
            elif got.type == PING and not got.flags & h2.ACK:
                peer.send(frame(PING, h2.ACK, 0, got.payload))
        assert farewells == [0x7FFFFFFF, 1]
        peer.send(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
        with pytest.raises(h2.Ended):
            while True:
                peer.next()


def test_idle_connections_cost_little(node):
    def memory_of(count: int) -> float:
        before = node.resident_bytes()
        peers = [Http2(node.port) for _ in range(count)]
        grown = node.resident_bytes() - before
        for each in peers:
            each.socket.close()
        until(lambda: node.gauges()["connections_open"] == 0, "they are gone")
        return grown / count

    memory_of(50)
    assert memory_of(500) < 48 * 1024


def test_a_slow_header_block_is_cut(origin):
    with Node(group(origin.url), '[limits]\nheader_timeout = "1s"') as node, Http2(node.port) as peer:
        peer.send(frame(HEADERS, END_STREAM, 1, peer.block(*fields())))
        peer.connection_error(h2.ENHANCE_YOUR_CALM)
        with Http2(node.port) as other:
            other.send(other.head(1, fields(path="/small"), END_STREAM | END_HEADERS))
            assert other.response(1)[0] == 200
