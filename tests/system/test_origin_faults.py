"""Origins that die, lie, dawdle and change their mind. What is not whole is never kept, and never looks whole."""

from __future__ import annotations

import subprocess
import threading

import pytest
from link_support import authority
from node_support import Node, group, until
from origin_support import Asked, Nginx, ScriptedOrigin, content, free_port
from wire_support import Wire, ask, member, request

KIB = 1024
TAG = 'ETag: "one"'
SHORT_TIMEOUTS = """\
retries = 0
[origin.timeouts]
wait = "300ms"
connect = "300ms"
first_byte = "300ms"
idle = "300ms"
"""


@pytest.fixture(scope="module")
def origin():
    server = ScriptedOrigin()
    yield server
    server.close()


@pytest.fixture(scope="module")
def node(origin):
    # Faults are per object here: the server is not put aside for them.
    with Node(group(origin.url, more="[origin.health]\nfailures_to_eject = 1000")) as started:
        yield started


@pytest.fixture(scope="module")
def hasty(origin):
    with Node(group(origin.url, more=SHORT_TIMEOUTS + "[origin.health]\nfailures_to_eject = 1000")) as started:
        yield started


class Gain:
    """How much counters grew."""

    def __init__(self, node: Node):
        self.node, self.before = node, node.counters()

    def __getitem__(self, name: str) -> int:
        return self.node.counters()[name] - self.before[name]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nTransfer-Encoding: chunked\r\n\r\n"


# --- dying in the middle ---


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_body_that_breaks_is_continued_where_it_stopped(node, origin, how):
    data = content(500 * KIB)

    def script(asked: Asked):
        if asked.number == 0:
            asked.answer(data[:200_000], TAG, length=len(data))
            if how == "reset":
                asked.reset()
            return False
        assert asked["If-Range"] == '"one"' and 0 < asked.range_from() <= 200_000
        return asked.answer_rest(data, TAG)

    target = origin.on(f"/resumed/{how}", script)
    gain = Gain(node)
    response = ask(node.port, target)
    assert response.complete and response.body == data
    assert (gain["fetches_resumed"], gain["responses_broken"], len(origin.to(target))) == (1, 0, 2)
    node.settled()
    again = ask(node.port, target)
    assert again.body == data and "hit" in member(again["Cache-Status"])


def test_a_body_that_breaks_again_and_again_arrives_as_long_as_it_is_resumed(node, origin):
    data = content(400 * KIB, 2)

    def script(asked: Asked):
        if asked.number == 0:
            asked.answer(data[:100_000], TAG, length=len(data))
            return False
        begin = asked.range_from()
        step = data[begin:begin + 100_000]
        asked.answer(step, TAG, f"Content-Range: bytes {begin}-{len(data) - 1}/{len(data)}", status="206 Partial Content", length=len(data) - begin)
        return False

    target = origin.on("/stubborn", script)
    response = ask(node.port, target)
    assert response.complete and response.body == data


def test_an_origin_that_never_gets_further_is_given_up(node, origin):
    data = content(100 * KIB)

    def script(asked: Asked):
        if asked.number == 0:
            asked.answer(data[:1000], TAG, length=len(data))
        return False

    target = origin.on("/stuck", script)
    response = ask(node.port, target)
    assert response.status == 200 and not response.complete and response.body == data[:1000]
    assert len(origin.to(target)) < 40  # resumes and retries are bounded


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_body_without_validator_breaks_visibly_and_is_fetched_whole_the_next_time(node, origin, framing, how):
    data = content(300 * KIB)
    heard = threading.Event()

    def script(asked: Asked):
        if asked.number > 0:
            if framing == "length":
                return asked.answer(data)
            asked.send(CHUNKED_HEAD + chunk(data) + b"0\r\n\r\n")
            return True
        if framing == "length":
            asked.answer(data[:100_000], length=len(data))
        else:
            asked.send(CHUNKED_HEAD + chunk(data[:100_000]))
        assert heard.wait(10)  # the listener has its head, so an honest error is no longer possible
        if how == "reset":
            asked.reset()
        return False

    target = origin.on(f"/broken/{framing}/{how}", script)
    gain = Gain(node)
    with Wire(node.port) as wire:
        wire.send(request(target))
        until(lambda: b"\r\n\r\n" in wire.buffer or wire.more(), "the head")
        heard.set()
        response = wire.response()
    assert response.status == 200 and response.framing == framing and not response.complete
    assert data.startswith(response.body) and len(response.body) < len(data)
    assert gain["responses_broken"] == 1 and gain["fetches_stored"] == 0
    curled = ask(node.port, target)
    assert curled.complete and curled.body == data and "hit" not in member(curled["Cache-Status"])
    assert len(origin.to(target)) == 2


def test_curl_sees_the_break(node, origin):
    data = content(100 * KIB)
    heard = threading.Event()

    def script(asked: Asked):
        asked.send(CHUNKED_HEAD + chunk(data))
        assert heard.wait(10)
        return False

    target = origin.on("/broken/curl", script)
    with Wire(node.port) as wire:  # so that curl joins a fetch that is under way
        wire.send(request(target))
        until(lambda: b"\r\n\r\n" in wire.buffer or wire.more(), "the head")
        gain = Gain(node)
        curl = subprocess.Popen(["curl", "-sS", "-o", "/dev/null", "-H", "Host: music.example", f"http://{authority(node.port)}{target}"],
                                stderr=subprocess.PIPE)
        until(lambda: gain["requests"] == 1, "curl has asked")
        heard.set()
        _, message = curl.communicate(timeout=20)
    assert curl.returncode in (18, 56), (curl.returncode, message)  # partial file, or reset: an error in any case
    assert len(origin.to(target)) == 1


def test_an_origin_that_dies_under_one_listener_dies_under_all(node, origin):
    data = content(200 * KIB)
    heard = threading.Event()

    def script(asked: Asked):
        asked.answer(data[:50_000], length=len(data))
        assert heard.wait(10)
        return False

    target = origin.on("/together", script)
    wires = [Wire(node.port) for _ in range(10)]
    for wire in wires:
        wire.send(request(target))
        until(lambda wire=wire: b"\r\n\r\n" in wire.buffer or wire.more(), "the head")
    heard.set()
    assert [(r.status, r.complete) for r in (wire.response() for wire in wires)] == [(200, False)] * 10
    assert len(origin.to(target)) == 1
    for wire in wires:
        wire.close()


def test_a_body_that_ends_with_the_connection_is_whole(node, origin):
    data = content(200 * KIB)

    def script(asked: Asked):
        asked.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n" + data)
        return False

    target = origin.on("/until-close", script)
    response = ask(node.port, target)
    assert response.complete and response.body == data


# --- restarting ---


def test_nginx_restarts_and_a_kept_connection_dies_with_it():
    nginx = Nginx()
    for number in range(6):
        nginx.put(f"/restart/{number}", content(50_000, number))
    with Node(group(nginx.url)) as node:
        for number in range(6):
            assert ask(node.port, f"/restart/{number}").body == content(50_000, number)
            nginx.stop()
            nginx.start()
        assert node.counters()["responses_5xx"] == 0
    nginx.close()


def test_a_kept_connection_that_closes_as_the_request_arrives(origin, node):
    """The keep-alive race of RFC 9112 9.3.1: a safe request is asked again on another connection."""

    def script(asked: Asked):
        return asked.number % 2 == 1 and asked.answer(b"at last")

    origin.on("/warm-up", lambda asked: asked.answer(b"x", cache="no-store"))
    target = origin.on("/race", script)
    ask(node.port, "/warm-up")
    assert ask(node.port, target).body == b"at last"
    assert len(origin.to(target)) == 2


def test_a_request_that_is_not_safe_is_never_repeated(origin, node):
    target = origin.on("/order", lambda asked: False)
    response = ask(node.port, target, method="POST", body=b"one song")
    assert response.status == 502 and len(origin.to(target)) == 1


# --- lying about length ---


def test_a_length_that_promises_more(node, origin):
    def script(asked: Asked):
        asked.answer(b"x" * 500, length=1000)
        return False

    target = origin.on("/longer", script)
    for expected in (1, 2):
        response = ask(node.port, target)
        assert not (response.status == 200 and response.complete)
        assert len(origin.to(target)) >= expected  # not kept


def test_a_length_that_promises_less(node, origin):
    target = origin.on("/shorter", lambda asked: asked.answer(b"y" * 1000 + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", length=1000))
    response = ask(node.port, target)
    assert response.complete and response.body == b"y" * 1000
    other = origin.on("/after-shorter", lambda asked: asked.answer(b"mine"))
    assert ask(node.port, other).body == b"mine"  # what was surplus answers nobody


@pytest.mark.parametrize("name,answer", [
    ("both", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("two-lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ("bad-length", b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"),
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no HTTP at all\r\n\r\n"),
    ("no-status", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    ("bare-cr", b"HTTP/1.1 200 OK\r\nX-Field: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("nul", b"HTTP/1.1 200 OK\r\nX-Field: a\x00b\r\nContent-Length: 0\r\n\r\n"),
    ("huge-head", b"HTTP/1.1 200 OK\r\n" + b"X-Field: " + b"a" * 1_000_000 + b"\r\n\r\n"),
    ("many-fields", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"),
    ("unknown-coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"),
])
def test_an_answer_that_cannot_be_trusted_is_502(node, origin, name, answer):
    def script(asked: Asked):
        asked.send(answer)
        return False

    target = origin.on(f"/untrusted/{name}", script)
    assert ask(node.port, target).status == 502
    assert ask(node.port, target).status == 502


def test_a_bad_chunk_size_breaks_the_body(node, origin):
    def script(asked: Asked):
        asked.send(CHUNKED_HEAD + chunk(b"good") + b"xyz\r\nbad\r\n0\r\n\r\n")
        return False

    target = origin.on("/bad-chunk", script)
    for _ in range(2):
        response = ask(node.port, target)
        assert not (response.status == 200 and response.complete)
    assert len(origin.to(target)) >= 2


# --- slow as tar ---


def test_slow_is_not_dead(hasty, origin):
    """A body that takes longer than every time-out arrives as long as it moves."""
    data = content(8 * KIB)
    pace = threading.Event()

    def script(asked: Asked):
        asked.answer(b"", length=len(data))
        for at in range(0, len(data), KIB):
            asked.send(data[at:at + KIB])
            pace.wait(0.08)  # 640 ms in all: the origin's own slowness
        return True

    target = origin.on("/tar", script)
    response = ask(hasty.port, target)
    assert response.complete and response.body == data


def test_no_head_in_time_is_504(hasty, origin):
    release = threading.Event()
    target = origin.on("/silent", lambda asked: release.wait(10) and False)
    response = ask(hasty.port, target)
    release.set()
    assert response.status == 504


def test_a_head_in_drips_is_504_as_well(hasty, origin):
    gone = threading.Event()

    def script(asked: Asked):
        for byte in b"HTTP/1.1 200 OK\r\nX-Field: " + b"a" * 200:
            asked.send(bytes([byte]))
            if gone.wait(0.05):
                break
        return False

    target = origin.on("/drips", script)
    assert ask(hasty.port, target).status == 504
    gone.set()


def test_a_body_that_stops_is_broken_off(hasty, origin):
    data = content(100 * KIB)
    release = threading.Event()

    def script(asked: Asked):
        asked.answer(data[:1000], length=len(data))
        release.wait(10)
        return False

    target = origin.on("/stops", script)
    response = ask(hasty.port, target)
    release.set()
    assert response.status == 200 and not response.complete


def test_a_body_that_stops_is_resumed_where_it_can(hasty, origin):
    data = content(100 * KIB)
    release = threading.Event()

    def script(asked: Asked):
        if asked.number:
            return asked.answer_rest(data, TAG)
        asked.answer(data[:1000], TAG, length=len(data))
        release.wait(10)
        return False

    target = origin.on("/stops/tagged", script)
    response = ask(hasty.port, target)
    release.set()
    assert response.complete and response.body == data


# --- changing the object between parts ---


@pytest.mark.parametrize("answer", ["206 of another", "200 with the new", "412"])
def test_an_object_that_changed_is_not_sewn_together(node, origin, answer):
    old, new = content(300 * KIB, 1), content(300 * KIB, 2)
    heard = threading.Event()

    def script(asked: Asked):
        if asked.number == 0:
            asked.answer(old[:100_000], TAG, length=len(old))
            assert heard.wait(10)
            return False
        if asked["Range"] and answer == "206 of another":
            return asked.answer_rest(new, 'ETag: "two"')
        if asked["Range"] and answer == "412":
            return asked.answer(b"", status="412 Precondition Failed")
        return asked.answer(new, 'ETag: "two"')

    target = origin.on(f"/changed/{answer.replace(' ', '-')}", script)
    with Wire(node.port) as wire:
        wire.send(request(target))
        until(lambda: b"\r\n\r\n" in wire.buffer or wire.more(), "the head")
        heard.set()
        response = wire.response()
    assert not response.complete and old.startswith(response.body)
    node.settled()
    after = ask(node.port, target)
    assert after.complete and after.body == new and after["ETag"] == '"two"'


def test_a_cold_range_and_then_a_changed_object(node, origin):
    old, new = content(800 * KIB, 1), content(800 * KIB, 2)
    changed = threading.Event()

    def script(asked: Asked):
        data, tag = (new, 'ETag: "two"') if changed.is_set() else (old, TAG)
        if not asked["Range"] or (asked["If-Range"] and asked["If-Range"] not in tag):
            return asked.answer(data, tag)
        if asked.number == 0:
            changed.set()
        return asked.answer_rest(data, tag)

    target = origin.on("/changed/parts", script)
    part = ask(node.port, target, "Range: bytes=600000-600999")
    assert part.status == 206 and part.body in (old[600_000:601_000], new[600_000:601_000])
    node.settled()
    whole = ask(node.port, target)
    assert whole.complete and whole.body == new, "never a mixture"


# --- interim responses, resets, refusals ---


def test_interim_responses_pass_and_a_flood_of_them_is_bounded(node, origin):
    def hints(asked: Asked):
        asked.send(b"HTTP/1.1 103 Early Hints\r\nLink: </next>; rel=preload\r\n\r\n")
        return asked.answer(b"song")

    def flood(asked: Asked):
        for _ in range(100_000):
            asked.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        return False

    response = ask(node.port, origin.on("/hints", hints))
    assert response.body == b"song" and [status for status, _ in response.interim] == [103]
    flooded = ask(node.port, origin.on("/flood", flood))
    assert flooded.status == 502 and len(flooded.interim) < 100


def test_a_reset_before_the_head_is_502(node, origin):
    def script(asked: Asked):
        asked.reset()
        return False

    target = origin.on("/reset", script)
    assert ask(node.port, target).status == 502
    assert len(origin.to(target)) < 10


def test_a_refused_connection_is_502():
    port = free_port()
    with Node(group(f"http://127.0.0.1:{port}")) as node:
        assert ask(node.port, "/refused").status == 502
        assert ask(node.port, "/refused", method="POST", body=b"x").status == 502


def test_a_5xx_is_passed_on_and_not_kept(node, origin):
    target = origin.on("/sick", lambda asked: asked.answer(b"sick", status="500 Internal Server Error", cache="") if asked.number == 0 else asked.answer(b"well"))
    assert ask(node.port, target).status == 500
    assert ask(node.port, target).body == b"well"
