"""What listeners get through a node in front of nginx: curl and raw sockets see the origin's bytes, and the origin sees each object once."""

from __future__ import annotations

import gzip
import re
import subprocess
import threading

import pytest
from link_support import authority
from node_support import Node, group, until
from origin_support import Nginx, ScriptedOrigin, content, free_port
from wire_support import Wire, ask, curl, member, request

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture(scope="module")
def nginx():
    server = Nginx()
    yield server
    server.close()


@pytest.fixture(scope="module")
def node(nginx):
    with Node(group(nginx.url)) as started:
        yield started
        # A sound origin over loopback never makes it mend anything: a stall that a time-out healed would hide behind right bytes.
        counters, servers = started.counters(), started.status()["origins"]
        assert (counters["fetches_resumed"], counters["fetches_failed"], counters["responses_broken"]) == (0, 0, 0), servers


# --- the bytes ---


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 64 * KIB + 1, 1 * MIB, 4 * MIB - 1])
def test_every_byte_is_the_origins_cold_and_warm(node, nginx, size):
    data = nginx.put(f"/whole/{size}", content(size))
    for _ in range(2):
        _, head, body = curl(node.port, f"/whole/{size}")
        assert head.startswith("HTTP/1.1 200")
        assert body == data
    assert member(re.search(r"Cache-Status: (.*?)\r", head)[1]) >= {"hit"}
    assert [line[:3] for line in nginx.log(f"/whole/{size}")] == [["GET", f"/whole/{size}", "200"]]


def test_a_body_beyond_what_the_cache_keeps_streams_through_and_says_so(node, nginx):
    data = nginx.put("/large", content(20 * MIB))
    for _ in range(2):
        response = ask(node.port, "/large")
        assert response.complete and response.body == data
        assert "stored" not in member(response["Cache-Status"]) and "detail=too-large" in member(response["Cache-Status"])


def test_a_large_body_is_kept_where_the_configuration_allows_it(nginx):
    data = nginx.put("/large-kept", content(20 * MIB))
    with Node(group(nginx.url), cache='maximum_object = "32M"') as node:
        assert curl(node.port, "/large-kept")[2] == data
        response = ask(node.port, "/large-kept")
        assert response.body == data and "hit" in member(response["Cache-Status"])
        middle = ask(node.port, "/large-kept", "Range: bytes=10000000-10999999")
        assert middle.body == data[10_000_000:11_000_000] and middle.status == 206
    assert len(nginx.log("/large-kept")) == 1


def test_a_thousand_hits_are_one_origin_request(node, nginx):
    nginx.put("/hot", content(64 * KIB))
    ask(node.port, "/hot")
    url = f"http://{authority(node.port)}/hot"
    run = subprocess.run(["h2load", "--h1", "-n", "1000", "-c", "20", "-t", "1", "-H", "Host: music.example", url], capture_output=True, text=True, timeout=60)
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in run.stdout, run.stdout + run.stderr
    assert "status codes: 1000 2xx" in run.stdout
    assert len(nginx.log("/hot")) == 1


# --- HEAD, ranges, conditionals ---


def test_head_tells_what_a_get_would(node, nginx):
    data = nginx.put("/head", content(100_000))
    cold = ask(node.port, "/head", method="HEAD")
    assert (cold.status, cold["Content-Length"], cold.body) == (200, str(len(data)), b"")
    node.settled()
    assert node.counters()["fetches_failed"] == 0  # the length is declared, its absence is no break
    got = ask(node.port, "/head")
    warm = ask(node.port, "/head", method="HEAD")
    assert "hit" in member(warm["Cache-Status"])
    for name in ("Content-Length", "ETag", "Last-Modified", "Content-Type", "Accept-Ranges"):
        assert warm[name] == got[name] != "", name


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("asked,first,last", [("0-0", 0, 0), ("1000-1999", 1000, 1999), ("999000-", 999_000, 999_999), ("-1", 999_999, 999_999),
                                              ("500000-9999999", 500_000, 999_999)])
def test_a_single_range(node, nginx, asked, first, last, warm):
    path = f"/range/{asked}/{warm}"
    data = nginx.put(path, content(1_000_000))
    if warm:
        ask(node.port, path)
    response = ask(node.port, path, f"Range: bytes={asked}")
    assert (response.status, response["Content-Range"]) == (206, f"bytes {first}-{last}/1000000")
    assert response.complete and response.body == data[first:last + 1]
    if warm:
        assert "hit" in member(response["Cache-Status"])


def test_a_cold_range_is_answered_before_and_the_rest_filled_behind(node, nginx):
    data = nginx.put("/seek", content(1_500_000))
    response = ask(node.port, "/seek", "Range: bytes=1200000-1200999")
    assert response.status == 206 and response.body == data[1_200_000:1_201_000]
    node.settled()
    whole = ask(node.port, "/seek")
    assert whole.body == data and "hit" in member(whole["Cache-Status"])
    # Nothing was fetched twice: what nginx sent of it adds up to the whole.
    assert {line[0] for line in nginx.log("/seek")} == {"GET"}


def test_several_ranges_are_one_multipart_body(node, nginx):
    data = nginx.put("/multi", content(300_000))
    response = ask(node.port, "/multi", "Range: bytes=0-9,100000-100099,-5")
    assert response.status == 206 and response.complete
    boundary = re.fullmatch(r"multipart/byteranges; boundary=\"?(\w+)\"?", response["Content-Type"])[1].encode()
    parts = response.body.split(b"--" + boundary)[1:-1]
    assert [re.search(rb"Content-Range: (.*)\r\n", part, re.IGNORECASE)[1] for part in parts] == [
        b"bytes 0-9/300000", b"bytes 100000-100099/300000", b"bytes 299995-299999/300000"]
    assert [part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for part in parts] == [data[:10], data[100_000:100_100], data[-5:]]
    assert response.body.rstrip(b"\r\n").endswith(b"--" + boundary + b"--")


def test_a_range_outside_is_416_with_the_size(node, nginx):
    nginx.put("/outside", content(1000))
    ask(node.port, "/outside")
    response = ask(node.port, "/outside", "Range: bytes=1000-")
    assert (response.status, response["Content-Range"]) == (416, "bytes */1000")


def test_if_range_and_conditionals(node, nginx):
    data = nginx.put("/conditional", content(5000))
    first = ask(node.port, "/conditional")
    tag, modified = first["ETag"], first["Last-Modified"]

    def status(*fields: str) -> int:
        return ask(node.port, "/conditional", *fields).status

    part = ask(node.port, "/conditional", "Range: bytes=0-9", f"If-Range: {tag}")
    assert part.status == 206 and part.body == data[:10]
    other = ask(node.port, "/conditional", "Range: bytes=0-9", 'If-Range: "other"')
    assert other.status == 200 and other.body == data
    assert status("Range: bytes=0-9", f"If-Range: W/{tag}") == 200  # weak tags never match here
    assert status(f"If-None-Match: {tag}") == status(f'If-None-Match: "a", W/{tag}') == status("If-None-Match: *") == 304
    assert status('If-None-Match: "other"') == 200
    assert status(f"If-Modified-Since: {modified}") == 304
    assert status("If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT") == 200
    assert status('If-None-Match: "other"', f"If-Modified-Since: {modified}") == 200  # the tag has precedence
    assert status('If-Match: "other"') == 412
    not_modified = ask(node.port, "/conditional", f"If-None-Match: {tag}")
    assert not_modified["ETag"] == tag and "Content-Length" not in not_modified and "Date" in not_modified
    assert len(nginx.log("/conditional")) == 1


# --- connections ---


def test_pipelined_requests_are_answered_in_order_on_one_connection(node, nginx):
    bodies = [nginx.put(f"/pipeline/{each}", content(70_000, each)) for each in range(8)]
    with Wire(node.port) as wire:
        wire.send(b"".join(request(f"/pipeline/{each}") for each in range(8)))
        assert [wire.response().body for _ in bodies] == bodies
        wire.send(request("/pipeline/0", method="HEAD") + request("/missing") + request("/pipeline/1", "Connection: close"))
        assert wire.response("HEAD").status == 200
        assert wire.response().status == 404
        last = wire.response()
        assert last.body == bodies[1] and last["Connection"] == "close"
        assert wire.is_closed()


def test_a_request_in_single_bytes(node, nginx):
    data = nginx.put("/bytes", content(1000))
    with Wire(node.port) as wire:
        for byte in request("/bytes"):
            wire.send(bytes([byte]))
        assert wire.response().body == data


def test_http_1_0(node, nginx):
    data = nginx.put("/old", content(200_000))
    _, head, body = curl(node.port, "/old", "-0")
    assert body == data and "transfer-encoding" not in head.lower()
    with Wire(node.port) as wire:
        assert wire.ask("/old", version="1.0").body == data
        assert wire.is_closed()
    with Wire(node.port) as wire:
        kept = wire.ask("/old", "Connection: keep-alive", version="1.0")
        assert kept["Connection"].lower() == "keep-alive" and kept.body == data
        assert wire.ask("/old", version="1.0").body == data


def test_other_methods_are_forwarded_with_their_body_and_invalidate():
    origin = ScriptedOrigin()
    origin.on("/note", lambda asked: asked.answer(b"v%d" % asked.number + asked.body))
    with Node(group(origin.url)) as node:
        assert ask(node.port, "/note").body == b"v0"
        assert ask(node.port, "/note").body == b"v0"
        posted = ask(node.port, "/note", method="POST", body=b" hello" * 1000)
        assert posted.body == b"v1" + b" hello" * 1000 and "fwd=method" in member(posted["Cache-Status"])
        assert ask(node.port, "/note").body == b"v2"  # what was stored went
        with Wire(node.port) as wire:
            wire.send(b"PUT /note HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
            assert wire.send(b"12345").response().body == b"v312345"
            chunked = wire.send(b"PUT /note HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").response()
            assert chunked.body == b"v4abcde"
        assert ask(node.port, "/note", method="TRACE").status == 405
    origin.close()


# --- content as the origin codes it ---


def test_a_chunked_body_streams_and_has_its_length_when_it_is_known():
    data, head_arrived = content(500_000), threading.Event()

    def chunked(asked):
        asked.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(data), 70_001):
            piece = data[at:at + 70_001]
            asked.send(b"%x;extension=1\r\n%s\r\n" % (len(piece), piece))
            assert head_arrived.wait(10)
        asked.send(b"0\r\nTrailer-Field: x\r\n\r\n")
        return True

    origin = ScriptedOrigin()
    origin.on("/chunked", chunked)
    with Node(group(origin.url)) as node, Wire(node.port) as first, Wire(node.port) as old:
        first.send(request("/chunked"))
        until(lambda: b"\r\n\r\n" in first.buffer or first.more(), "the head while the origin waits")
        old.send(request("/chunked", version="1.0"))
        until(lambda: b"\r\n\r\n" in old.buffer or old.more(), "the head over HTTP/1.0")
        head_arrived.set()
        cold, plain = first.response(), old.response()
        assert (cold.framing, plain.framing) == ("chunked", "close") and cold.body == plain.body == data
        node.settled()
        warm = ask(node.port, "/chunked")
        assert warm.framing == "length" and warm.body == data and "hit" in member(warm["Cache-Status"])
        assert len(origin.to("/chunked")) == 1
    origin.close()


def test_variants_by_accept_encoding(node, nginx):
    text = nginx.put("/zip/song.txt", b"do re mi " * 10_000)
    zipped = ask(node.port, "/zip/song.txt", "Accept-Encoding: gzip")
    plain = ask(node.port, "/zip/song.txt")
    assert zipped["Content-Encoding"] == "gzip" and gzip.decompress(zipped.body) == text
    assert "Content-Encoding" not in plain and plain.body == text
    assert "fwd=vary-miss" in member(plain["Cache-Status"])
    node.settled()
    for response, fields in ((zipped, ["Accept-Encoding: gzip"]), (plain, [])):
        again = ask(node.port, "/zip/song.txt", *fields)
        assert again.body == response.body and "hit" in member(again["Cache-Status"]) and "accept-encoding" in again["Vary"].lower()
    assert len(nginx.log("/zip/song.txt")) == 2
    assert curl(node.port, "/zip/song.txt", "--compressed")[2] == text


# --- fields ---


def test_a_browser_gets_its_preflight_and_cors_fields(node, nginx):
    nginx.put("/cors", b"x")
    preflight = ask(node.port, "/cors", "Origin: https://player.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: range",
                    method="OPTIONS")
    assert preflight.status in (200, 204) and preflight["Access-Control-Allow-Origin"] == "*"
    assert "range" in preflight["Access-Control-Allow-Headers"].lower() and "GET" in preflight["Access-Control-Allow-Methods"]
    assert int(preflight["Access-Control-Max-Age"]) > 0
    assert nginx.log("/cors") == []  # a preflight never reaches the origin
    response = ask(node.port, "/cors", "Origin: https://player.example")
    assert response.all("Access-Control-Allow-Origin") == ["*"] and response.all("Timing-Allow-Origin") == ["*"]
    assert "Content-Range" in response["Access-Control-Expose-Headers"]


def test_cache_status_and_the_fields_of_a_cache(node, nginx):
    nginx.put("/status", b"x" * 100)
    cold, warm = ask(node.port, "/status"), ask(node.port, "/status")
    assert member(cold["Cache-Status"]) >= {"fwd=uri-miss", "stored"}
    assert "hit" in member(warm["Cache-Status"])
    ttl = next(int(each.removeprefix("ttl=")) for each in member(warm["Cache-Status"]) if each.startswith("ttl="))
    assert 3500 < ttl <= 3600
    assert int(warm["Age"]) < 60 and "Date" in warm and "nearfield" in warm["Via"] and warm["Accept-Ranges"] == "bytes"
    nginx.put("/private/status", b"y")
    assert "stored" not in member(ask(node.port, "/private/status")["Cache-Status"])
    assert "hit" not in member(ask(node.port, "/private/status")["Cache-Status"])
    assert ask(node.port, "/never-asked", "Cache-Control: only-if-cached").status == 504
    assert "fwd=request" in member(ask(node.port, "/status", "Cache-Control: no-cache")["Cache-Status"])


# --- purge ---


def test_purge_of_a_name_and_of_a_prefix_counts_what_went(node, nginx):
    for name in ("a/1", "a/2", "a/3", "b/1"):
        nginx.put(f"/purge/{name}", b"old")
        ask(node.port, f"/purge/{name}", host="purge.example")
        nginx.put(f"/purge/{name}", b"new", mtime=1_700_000_100)
    assert ask(node.port, "/purge/a/1", host="purge.example").body == b"old"
    assert node.purge(name="http://purge.example/purge/a/1") == 1
    assert node.purge(name="http://purge.example/purge/a/1") == 0
    assert ask(node.port, "/purge/a/1", host="purge.example").body == b"new"
    assert node.purge(prefix="http://purge.example/purge/a/") == 3
    assert ask(node.port, "/purge/a/2", host="purge.example").body == b"new"
    assert ask(node.port, "/purge/b/1", host="purge.example").body == b"old"
    assert node.purge(prefix="http://purge.example") == 2
    assert node.call("POST", "/v1/purge", {"name": "not a url"})[0] == 400


def test_both_variants_go_with_their_name(node, nginx):
    nginx.put("/zip/gone.txt", b"old " * 1000)
    ask(node.port, "/zip/gone.txt", "Accept-Encoding: gzip")
    ask(node.port, "/zip/gone.txt")
    node.settled()
    assert node.purge(name="http://music.example/zip/gone.txt") == 2


# --- an origin that comes and goes ---


def test_stale_while_revalidate_hides_a_restart_of_the_origin():
    nginx = Nginx()
    nginx.put("/swr/song", b"first take")
    with Node(group(nginx.url)) as node:
        assert ask(node.port, "/swr/song").body == b"first take"
        nginx.stop()
        stale = ask(node.port, "/swr/song")
        assert stale.body == b"first take" and "hit" in member(stale["Cache-Status"])
        node.settled()
        nginx.put("/swr/song", b"second take", mtime=1_700_000_100)
        nginx.start()
        until(lambda: ask(node.port, "/swr/song").body == b"second take", "the new bytes arrive behind a stale answer")
        assert node.counters()["fetches_background"] >= 1
    nginx.close()


def test_stale_if_error_stands_in_for_a_stopped_origin():
    nginx = Nginx()
    data = nginx.put("/sie/song", content(10_000))
    with Node(group(nginx.url)) as node:
        assert ask(node.port, "/sie/song").body == data
        assert "fwd=stale" in member(ask(node.port, "/sie/song")["Cache-Status"])  # 304 from nginx
        assert [line[2] for line in nginx.log("/sie/song")] == ["200", "304"]
        nginx.stop()
        stale = ask(node.port, "/sie/song")
        assert stale.status == 200 and stale.body == data and "detail=stale-if-error" in member(stale["Cache-Status"])
        assert ask(node.port, "/sie/unknown").status == 502
        nginx.start()
        until(lambda: "fwd-status=304" in member(ask(node.port, "/sie/song")["Cache-Status"]), "the origin is asked again")
    nginx.close()


def test_several_origins_fail_over(nginx):
    second = Nginx()
    for server in (nginx, second):
        server.put("/over", b"same everywhere")
        server.put("/private/over", b"same everywhere")
    dead = f'{{ url = "http://127.0.0.1:{free_port()}", priority = 1 }}'
    with Node(group(dead, f'{{ url = "{second.url}", priority = 2 }}', f'{{ url = "{nginx.url}", priority = 3 }}')) as node:
        assert ask(node.port, "/over").body == b"same everywhere"
        before = len(nginx.log("/private/over"))
        assert all(ask(node.port, "/private/over").status == 200 for _ in range(10))
        assert len(nginx.log("/private/over")) == before  # a stand-by stands by
        second.stop()
        assert all(ask(node.port, "/private/over").status == 200 for _ in range(10))
        assert len(until(lambda: nginx.log("/private/over"), "the stand-by was asked")) >= 10
    second.close()


def test_ipv6_listener_and_origin():
    nginx = Nginx("::1")
    data = nginx.put("/six", content(300_000))
    with Node(group(nginx.url), listen=("127.0.0.1:0", "[::1]:0")) as node:
        for address, port in zip(("127.0.0.1", "::1"), node.ports):
            assert ask(port, "/six", address=address).body == data
        curled = subprocess.run(["curl", "-gsS", "-H", "Host: music.example", f"http://{authority(node.ports[1], '::1')}/six"], capture_output=True, timeout=30, check=True)
        assert curled.stdout == data
    assert len(nginx.log("/six")) == 1
    nginx.close()


def test_hosts_are_mapped_to_origins_and_paths(nginx):
    other = ScriptedOrigin()
    other.on("/base/song", lambda asked: asked.answer(f"{asked['Host']} {asked.target}".encode()))
    nginx.put("/mapped", b"from nginx")
    origins = group(nginx.url, hosts='"a.example", "*.wild.example"') + group(
        other.url, name="other", hosts='"exact.wild.example"', more='host_header = "inner.example"\n[origin.path]\nstrip = "/public"\nadd = "/base"')
    with Node(origins) as node:
        assert ask(node.port, "/mapped", host="a.example").body == b"from nginx"
        assert ask(node.port, "/mapped", host="deep.er.wild.example").body == b"from nginx"
        assert ask(node.port, "/mapped", host="A.EXAMPLE:80").body == b"from nginx"
        assert ask(node.port, "/public/song", host="exact.wild.example").body == b"inner.example /base/song"
        assert ask(node.port, "/mapped", host="unknown.example").status == 502
    hosts = [line[3] for line in nginx.log("/mapped")]
    assert hosts == ["a.example", "deep.er.wild.example"]  # names are one whatever their case and default port
    other.close()


def test_query_parameters_of_players_do_not_name_other_objects(nginx):
    nginx.put("/query", b"one object")
    nginx.put("/telemetry", b"another object")
    with Node(group(nginx.url)) as node:  # players' telemetry (CTA-5004) by default
        for number in range(3):
            assert ask(node.port, f"/telemetry?CMCD=br%3D{number}").body == b"another object"
        assert node.counters()["cache_misses"] == 1
    with Node(group(nginx.url), '[query]\ndrop = ["CMCD", "token*"]') as node:
        for query in ("CMCD=bl%3D100", "CMCD=bl%3D200&token=a", "token2=b", "CMCD=x"):
            assert ask(node.port, f"/query?{query}").body == b"one object"
        assert node.counters()["cache_misses"] == 1
        ask(node.port, "/query?take=2&CMCD=x")
        assert node.counters()["cache_misses"] == 2
