"""https in the hands of an operator: certificates and their renewal, keys that do not fit, expiry, ticket keys of a site, redirect and HSTS,
client certificates, handshakes that nobody finishes, drain and takeover."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest
from https_support import (
    NAME,
    Authority,
    Files,
    Halfway,
    Secure,
    SecureOrigin,
    Session,
    client_hello,
    connections_open,
    metric,
    tls_counters,
    tls_port,
)
from link_support import dialled, needs_sockets
from node_support import until
from origin_support import content
from wire_support import Broken, Wire, ask, request

BIG = content(6_000_000)


@pytest.fixture
def files(tmp_path_factory, link) -> Files:
    return Files(tmp_path_factory.mktemp("n"), link)  # short: a socket's path has 80 bytes


@pytest.fixture
def start(program, files):
    """start(...) serves with files.config; see process_support.Program."""
    def started(*arguments: object):
        return program("--config", files.config, *arguments, control=files.control).serves()
    return started


# --- starting --------------------------------------------------------------------------------------------------------------


def test_serves_https_to_curl(files, start, nginx_origin):
    nginx_origin.put("/a.bin", BIG)
    files.write(nginx_origin.url)
    node = start()
    node.says("TLS from version 1.2 by ")
    port = tls_port(node)
    for version in ("--http1.1", "--http2"):
        got = subprocess.run(["curl", "-sS", version, "--cacert", str(files.authority.certificate), "--resolve",
                              f"{NAME}:{port}:{dialled(port)}", f"https://{NAME}:{port}/a.bin"], capture_output=True, timeout=30)
        assert got.returncode == 0, got.stderr
        assert got.stdout == BIG
    assert tls_counters(node)["handshakes_finished"] == 2
    until(lambda: connections_open(node) == 0, "both connections end")


def test_serves_https_from_flags_alone(program, files, nginx_origin):
    if files.link.transport != "uring":
        pytest.skip("the flags of the other transport name an address of their own")
    nginx_origin.put("/a", b"hello")
    node = program("--tls-listen", "127.0.0.1:0", "--certificate", files.chain, "--key", files.key, "--origin", nginx_origin.url, "--ram", "16M",
                   "--workers", 1, "--control", files.control, control=files.control).serves()
    assert node.status()["listen"] == []
    with Secure(tls_port(node), files.trusting()) as wire:
        assert wire.ask("/a").body == b"hello"


@pytest.mark.parametrize(("arguments", "says"), [
    (("--tls-listen", ":0", "--origin", "http://x"), "--tls-listen and --certificate FILE want each other"),
    (("--listen", ":0", "--origin", "http://x", "--certificate", "a.pem"), "--tls-listen and --certificate FILE want each other"),
    (("--listen", ":0", "--origin", "http://x", "--key", "a.key"), "--key wants --certificate"),
    (("--config", "a", "--tls-listen", ":0"), "--tls-listen does not go with --config"),
])
def test_wrong_flags_are_named(program, arguments, says):
    node = program(*arguments)
    assert node.ends() == 2 and says in node.log


def test_says_what_is_wrong_with_its_files(program, files):
    def ends(**config) -> str:
        node = program("--config", files.write("http://127.0.0.1:9", **config))
        assert node.ends() == 1, node.log
        return node.lines[-1]

    files.write("http://127.0.0.1:9")
    assert program("--config", files.config, "--check").ends() == 0
    chain = files.chain
    files.chain = files.place / "missing.pem"
    assert "missing.pem" in ends()
    files.chain, (_, files.key) = chain, files.authority.issue("other")
    assert "other.key does not belong to the first certificate of" in ends()
    files.key = chain
    assert "is not a private key in PEM" in ends()
    files.chain, files.key = files.authority.issue("node")
    short = files.place / "ticket.keys"
    short.write_bytes(b"x" * 47)
    assert "ticket.keys have 47 bytes" in ends(tls=f'ticket_keys = "{short}"')
    assert "nowhere.pem" in ends(tls=f'client_certificates = "required"\nclient_ca = "{files.place}/nowhere.pem"')


def test_clear_text_on_the_tls_port_is_told_so(files, start):
    files.write("http://127.0.0.1:9")
    node = start()
    with Wire(tls_port(node)) as wire:
        answer = wire.ask("/a")
        assert answer.status == 400 and b"HTTPS" in answer.body
        assert wire.is_closed()
    with Wire(tls_port(node)) as wire:
        assert wire.send(b"\0" * 100).is_closed()


def test_shows_its_settings_and_no_secrets(files, start):
    keys = files.place / "ticket.keys"
    keys.write_bytes(content(96))
    files.write("http://127.0.0.1:9", tls=f'ticket_keys = "{keys}"\nprotocols = ["http/1.1"]')
    node = start()
    shown = node.call("GET", "/v1/tls")[1]["tls"]
    assert shown["ticket_keys"] == 2 and shown["protocols"] == ["http/1.1"] and shown["ticket_keys_file"] == str(keys)
    assert shown["certificates"][0]["names"] == [NAME, f"*.{NAME}"]
    config = node.call("GET", "/v1/config")[1]["config"]["tls"]
    assert config["certificates"] == [{"certificate": str(files.chain), "key": str(files.key)}]
    secret = re.sub(r"-----.*?-----|\s", "", files.key.read_text())[20:60]
    for path in ("/v1/tls", "/v1/status", "/v1/config", "/v1/counters", "/metrics"):
        assert secret not in node.request("GET", path)[2]


# --- reload ----------------------------------------------------------------------------------------------------------------


def test_a_renewed_certificate_drops_nobody(files, start, nginx_origin):
    nginx_origin.put("/big", BIG)
    files.write(nginx_origin.url)
    node = start()
    port, context = tls_port(node), files.trusting()
    with Secure(port, context, receive_buffer=16384) as listening:
        old = listening.serial
        listening.send(request("/big"))
        head = listening.head()
        body = listening.exactly(100_000)
        files.authority.issue("node")
        assert node.call("POST", "/v1/reload") == (200, {"schema": 1, "reloaded": True, "restart_required": []})

        def renewed() -> bool:
            with Secure(port, context) as wire:
                assert wire.ask("/big", "Range: bytes=0-9").body == BIG[:10]
                return wire.serial != old
        until(renewed, "new connections see the new certificate")
        body += listening.exactly(int(head["Content-Length"]) - len(body))
        assert body == BIG
        assert listening.ask("/big", "Range: bytes=5-9").body == BIG[5:10]
    assert node.status()["config"]["reloads"] == 1


def test_a_wrong_key_changes_nothing(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    node = start()
    port, context = tls_port(node), files.trusting()
    good = files.key.read_bytes()
    with Secure(port, context) as wire:
        serial = wire.serial
    _, other = files.authority.issue("other")
    files.key.write_bytes(other.read_bytes())
    status, answer = node.call("POST", "/v1/reload")
    assert status == 422
    assert [(each["key"], "does not belong to the first certificate" in each["reason"]) for each in answer["problems"]] == [("tls", True)]
    node.signal(signal.SIGHUP)
    until(lambda: node.status()["config"]["reloads_refused"] == 2, "both were counted")
    with Secure(port, context) as wire:
        assert wire.serial == serial and wire.ask("/a").body == b"hello"
    files.key.write_bytes(good)
    assert node.call("POST", "/v1/reload")[0] == 200


def test_says_which_tls_keys_want_a_restart(files, start):
    files.write("http://127.0.0.1:9")
    node = start()
    files.write("http://127.0.0.1:9", tls="[tls.helpers]\nthreads = 3")
    assert node.call("POST", "/v1/reload")[1]["restart_required"] == ["tls.helpers"]
    assert node.call("GET", "/v1/config")[1]["config"]["tls"]["helpers"]["threads"] == 2


@pytest.mark.parametrize(("ends", "says"), [(-1, r" error the certificate .*has expired"), (9.5, r" warning the certificate .*expires in 9 days"),
                                            (60, None)])
def test_says_that_a_certificate_ends(files, start, ends, says):
    files.authority.issue("node", ends=ends)
    files.write("http://127.0.0.1:9")
    node = start()
    assert (re.search(says, node.log) if says else "certificate /" not in node.log), node.log
    left = metric(node, "nearfield_tls_certificate_expiry_timestamp_seconds") - time.time()
    assert abs(left - ends * 86400) < 600
    assert abs(node.status()["tls"]["certificates"][0]["expires_in_seconds"] - left) < 5
    context = files.trusting()
    with contextlib.ExitStack() as stack:
        if ends < 0:
            stack.enter_context(pytest.raises(ssl.SSLCertVerificationError, match="expired"))
        stack.enter_context(Secure(tls_port(node), context))
    before = len(node.lines)
    assert node.call("POST", "/v1/reload")[0] == 200
    if says:
        until(lambda: any(re.search(says, line) for line in node.lines[before:]), "it is said again at a reload")


# --- resumption ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_nodes_of_a_site_resume_each_others_sessions(files, start, program, nginx_origin, ending, version):
    nginx_origin.put("/a", b"hello")
    keys = files.place / "ticket.keys"
    keys.write_bytes(content(48))
    files.write(nginx_origin.url, tls=f'ticket_keys = "{keys}"')
    session = Session(files, version)
    first = start()
    assert not session.visit(tls_port(first))
    assert session.visit(tls_port(first))
    if files.link.transport == "uring":
        other = files.place / "d"
        second = program("--config", files.write(nginx_origin.url, tls=f'ticket_keys = "{keys}"', control=other), control=other).serves()
        assert session.visit(tls_port(second))
        assert tls_counters(second)["handshakes_resumed"] == 1
        files.write(nginx_origin.url, tls=f'ticket_keys = "{keys}"')
    first.signal(signal.SIGTERM)
    assert first.ends() == 0
    again = start()
    assert session.visit(tls_port(again))
    # The key goes by way of the second place; who has only the new one begins anew.
    keys.write_bytes(content(48, seed=2) + content(48))
    assert again.call("POST", "/v1/reload")[0] == 200
    assert session.visit(tls_port(again))
    keys.write_bytes(content(48, seed=3))
    assert again.call("POST", "/v1/reload")[0] == 200
    assert not session.visit(tls_port(again))
    assert metric(again, 'nearfield_tls_helper_handshakes_total{kind="resumed"}') == 2


def test_sessions_end_with_a_process_that_has_its_own_keys(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    session = Session(files, "-tls1_3")
    first = start()
    assert not session.visit(tls_port(first))
    assert session.visit(tls_port(first))
    assert first.call("POST", "/v1/reload")[0] == 200
    assert session.visit(tls_port(first))  # a reload is no restart
    first.signal(signal.SIGTERM)
    assert first.ends() == 0
    assert not session.visit(tls_port(start()))


# --- redirect, HSTS, client certificates -----------------------------------------------------------------------------------


def test_sends_clear_text_to_https(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url, more='[https]\nredirect = true\nredirect_port = 8443\nhsts = "365d"\nhsts_subdomains = true')
    node = start()
    got = ask(node.port(), "/a?b=c", address="::1")
    assert (got.status, got["Location"]) == (301, f"https://{NAME}:8443/a?b=c")
    assert "Strict-Transport-Security" not in got
    assert ask(node.port(), "/a", address="::1", method="POST", body=b"x").status == 308
    with Secure(tls_port(node), files.trusting()) as wire:
        got = wire.ask("/a")
        assert (got.status, got.body) == (200, b"hello")
        assert got["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    files.write(nginx_origin.url)
    assert node.call("POST", "/v1/reload")[0] == 200
    until(lambda: ask(node.port(), "/a", address="::1").status == 200, "clear text is served again")


def test_a_reload_sends_nobody_to_a_port_that_waits_for_the_restart(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    node = start()
    files.write(nginx_origin.url, more="[https]\nredirect = true\nredirect_port = 8443")
    changed = re.sub(r'(\[tls\]\nlisten = \["[^"]*:)\d+', r"\g<1>8443", files.config.read_text())
    assert changed != files.config.read_text()
    files.config.write_text(changed)
    status, answer = node.call("POST", "/v1/reload")
    assert status == 200 and "tls.listen" in answer["restart_required"]
    assert ask(node.port(), "/a", address="::1").status == 200


@pytest.mark.parametrize("tls12", [False, True])
def test_asks_listeners_for_certificates(files, start, nginx_origin, tls12):
    nginx_origin.put("/a", b"hello")
    authority = Authority(files.place, "clients")
    files.write(nginx_origin.url, tls=f'client_certificates = "required"\nclient_ca = "{authority.certificate}"')
    node = start()
    port = tls_port(node)

    def served(pair: tuple[Path, Path] | None) -> bool:
        context = files.trusting(tls12=tls12)
        if pair:
            context.load_cert_chain(*pair)
        try:
            with Secure(port, context) as wire:
                return wire.ask("/a").body == b"hello"
        except (ssl.SSLError, Broken, ConnectionError):
            return False

    good = authority.issue("client", name="listener")
    assert served(good)
    assert not served(None)
    assert not served(files.authority.issue("stranger", name="stranger"))
    assert metric(node, 'nearfield_tls_helper_failures_total{reason="peer_certificate"}') == 2
    files.write(nginx_origin.url, tls=f'client_certificates = "optional"\nclient_ca = "{authority.certificate}"')
    assert node.call("POST", "/v1/reload")[0] == 200
    until(lambda: served(None), "nobody is asked for more than they have")
    assert served(good)


# --- handshakes that nobody finishes ---------------------------------------------------------------------------------------


def test_a_thousand_half_done_handshakes_are_bounded_and_expire(files, start, nginx_origin):
    nginx_origin.put("/a", BIG)
    files.write(nginx_origin.url, tls='[tls.handshakes]\ntimeout = "3s"\ntotal = 400\nper_prefix = 400')
    node = start()
    port, hello = tls_port(node), client_hello()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    half: list[socket.socket] = []
    try:
        with Secure(port, files.trusting()) as listening:
            assert listening.ask("/a").body == BIG
            longest = 0.0
            for number in range(1000):
                with contextlib.suppress(ConnectionError):  # of those that are too many
                    half.append(socket.create_connection((dialled(port), port), timeout=10))
                    half[-1].sendall(hello[:len(hello) // 2])
                if number % 50 == 0:
                    began = time.monotonic()
                    assert listening.ask("/a", "Range: bytes=1000-65999").body == BIG[1000:66000]
                    longest = max(longest, time.monotonic() - began)
                    assert metric(node, "nearfield_tls_handshakes_open") <= 400
            assert longest < 5  # a machine that is busy elsewhere may stand still for a while
            until(lambda: tls_counters(node)["handshakes_begun"] + tls_counters(node)["handshakes_refused_total"]
                  + tls_counters(node)["handshakes_refused_prefix"] >= 1001, "every connection was met")
            until(lambda: metric(node, "nearfield_tls_handshakes_open") == 0, "what is left expires")
            counters = tls_counters(node)
            # Whoever says nothing for longest gives way to the next, or has expired before.
            assert counters["handshakes_expired"] + counters["handshakes_evicted"] == counters["handshakes_begun"] - 1
            assert listening.ask("/a").body == BIG
        with Secure(port, files.trusting()) as wire:
            assert wire.ask("/a", "Range: bytes=0-9").body == BIG[:10]
    finally:
        for one in half:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- the end of a process --------------------------------------------------------------------------------------------------


def test_a_drain_lets_handshakes_finish(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    node = start()
    halfway = Halfway(tls_port(node), files.trusting())
    until(lambda: connections_open(node) == 1, "the handshake has begun")
    node.signal(signal.SIGTERM)
    node.says("draining")
    time.sleep(1)  # beyond the moment in which idle connections are closed
    answer = halfway.finish("/a")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"hello") and b"Connection: close" in answer
    assert node.ends() == 0 and "drained" in node.log


def test_a_second_signal_ends_all_at_once(files, start, nginx_origin):
    nginx_origin.put("/big", BIG)
    files.write(nginx_origin.url, drain="60s", tls='[tls.handshakes]\ntimeout = "60s"')
    node = start()
    with Secure(tls_port(node), files.trusting(), receive_buffer=16384) as listening:
        listening.send(request("/big"))
        listening.exactly(10_000)
        halfway = Halfway(tls_port(node), files.trusting())
        until(lambda: connections_open(node) == 2, "the handshake has begun")
        node.signal(signal.SIGTERM)
        node.says("draining")
        node.signal(signal.SIGTERM)
        assert node.ends() == 0
        halfway.socket.close()
        with pytest.raises(Broken):
            listening.exactly(len(BIG))


def test_a_drain_is_over_when_a_handshake_expires(files, start):
    files.write("http://127.0.0.1:9", drain="60s", tls='[tls.handshakes]\ntimeout = "1s"')
    node = start()
    halfway = Halfway(tls_port(node), files.trusting())
    until(lambda: connections_open(node) == 1, "the handshake has begun")
    node.signal(signal.SIGTERM)
    assert node.ends() == 0 and "drained" in node.log
    halfway.socket.close()


@needs_sockets
def test_a_new_process_takes_over_tls_as_well(files, start, nginx_origin):
    nginx_origin.put("/big", BIG)
    files.write(nginx_origin.url, drain="60s", more='[limits]\nsend_timeout = "5m"')
    old = start()
    port, clear, context = tls_port(old), old.port(), files.trusting()
    with Secure(port, context, receive_buffer=16384) as listening:
        listening.send(request("/big"))
        head = listening.head()
        body = listening.exactly(50_000)
        new = start("--takeover", files.control)
        old.says("a new process has taken over: draining")
        status = new.status()
        assert status["pid"] == new.process.pid
        assert status["tls"]["listen"] == [f"127.0.0.1:{port}"] and status["listen"] == [f"[::1]:{clear}"]
        for _ in range(50):
            with Secure(port, context) as wire:
                assert wire.ask("/big", "Range: bytes=0-9").body == BIG[:10]
            assert ask(clear, "/big", "Range: bytes=0-9", address="::1").body == BIG[:10]
        assert listening.exactly(int(head["Content-Length"]) - len(body)) == BIG[len(body):]
    assert old.ends() == 0
    assert tls_counters(new)["handshakes_finished"] >= 40


# --- origins ---------------------------------------------------------------------------------------------------------------


def test_fetches_from_an_origin_over_tls(files, start, ending):
    clients = Authority(files.place, "clients")
    own = clients.issue("own", name="node", ends=10)
    origin = ending.enter_context(contextlib.closing(SecureOrigin(files.chain, files.key, clients.certificate)))
    url = f"https://127.0.0.1:{origin.port}"

    def group_of(tls: str) -> str:
        # Never put aside: what is tried next is tried.
        return f"[origin.health]\nfailures_to_eject = 1000\n[origin.tls]\n{tls}"

    name = f'server_name = "{NAME}"\n'
    trusted = f'ca = "{files.authority.certificate}"\n'
    shown = f'certificate = "{own[0]}"\nkey = "{own[1]}"\n'
    files.write(url, origin=group_of(name + trusted + shown))
    node = start()
    assert re.search(r" warning the certificate .*own\.pem .*expires in (9|10) days", node.log), node.log
    assert ask(node.port(), "/0", address="::1").body == b"hello"
    assert tls_counters(node)["origin_handshakes_finished"] == 1
    assert node.status()["tls"]["origin_certificates"][0]["file"] == str(own[0])
    # The name that is asked for, the authority, our own certificate: each alone is a reason.
    for number, wrong in enumerate(("server_name = \"other.example\"\n" + trusted + shown, name + shown, name + trusted), 1):
        files.write(url, origin=group_of(wrong))
        assert node.call("POST", "/v1/reload")[0] == 200
        until(lambda path=f"/{number}": ask(node.port(), path, address="::1").status in (502, 503, 504), "the origin is not trusted")
    files.write(url, origin=group_of("verify = false\n" + shown))
    assert node.call("POST", "/v1/reload")[0] == 200
    until(lambda: ask(node.port(), "/9", address="::1").body == b"hello", "nobody looks")
    files.write(url, origin=group_of('ca = "/nowhere.pem"\n'))
    assert node.call("POST", "/v1/reload")[0] == 422
