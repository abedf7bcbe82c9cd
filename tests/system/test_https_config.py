"""https in the hands of an operator: certificates and their renewal, keys that do not fit, expiry, ticket keys of a site, redirect and HSTS,
client certificates, handshakes that nobody finishes."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import ssl
import time

import pytest
from certificate_support import Authority, Leaf
from https_support import BIG, Files, files, start  # noqa: F401
from node_support import until
from origin_support import SecureOrigin, content
from process_support import Program
from tls_client_support import HANDSHAKE, Hello, record
from tls_support import SslWire
from tls_tools_support import get, s_client
from wire_support import NAME, Broken, Wire, ask, request


# --- starting --------------------------------------------------------------------------------------------------------------


def test_serves_https_from_flags_alone(program, files, nginx_origin):
    if files.link.transport != "uring":
        pytest.skip("the flags of the other transport name an address of their own")
    nginx_origin.put("/a", b"hello")
    node = program("--tls-listen", "127.0.0.1:0", "--certificate", files.leaf.chain, "--key", files.leaf.key, "--origin", nginx_origin.url, "--ram", "16M",
                   "--workers", 1, "--control", files.control, control=files.control).serves()
    assert node.status()["listen"] == []
    with files.connect(node) as wire:
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
        checked = program("--config", files.config, "--check")
        assert checked.ends() == 1 and node.lines[-len(checked.lines):] == checked.lines, "a start says all that the check says"
        assert all(re.match(rf"{re.escape(str(files.config))}:\d+: tls\.\w+", line) for line in checked.lines), checked.log
        return checked.log

    files.write("http://127.0.0.1:9")
    assert program("--config", files.config, "--check").ends() == 0
    good = files.leaf
    files.leaf = Leaf(files.place / "missing.pem", good.key)
    assert "missing.pem" in ends()
    files.leaf = Leaf(good.chain, files.ca.issue("other.example").key)
    assert f"{files.leaf.key} does not belong to the first certificate of" in ends()
    files.leaf = Leaf(good.chain, good.chain)
    assert "holds certificates but no private key" in ends()
    files.leaf = good
    short = files.place / "ticket.keys"
    short.write_bytes(b"x" * 47)
    short.chmod(0o600)
    both = ends(tls=f'ticket_keys = "{short}"\nclient_certificates = "required"\nclient_ca = "{files.place}/nowhere.pem"')
    assert "ticket.keys have 47 bytes" in both and "nowhere.pem" in both


def test_warns_of_secrets_that_others_read(program, files, start):
    tickets, keys = files.place / "tickets", files.place / "keys.json"
    tickets.write_bytes(content(48))
    keys.write_text(json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "kid": "one", "k": "A" * 43}]}))
    exposed = [(files.leaf.key, "private key"), (tickets, "file of ticket keys"), (keys, "key set with secrets")]
    for place, _ in exposed:
        place.chmod(0o604)
    files.write("http://127.0.0.1:9", tls=f'ticket_keys = "{tickets}"', more=f'[[access.key_sets]]\nname = "a"\nfiles = ["{keys}"]\n')
    checked = program("--config", files.config, "--check")
    assert checked.ends() == 0
    node = start()
    for place, what in exposed:
        warning = f"the {what} {place} can be read or written by everyone: chmod o-rw it"
        assert f"warning: {warning}" in checked.log
        node.says(warning)


def test_clear_text_on_the_tls_port_is_told_so(files, start):
    files.write("http://127.0.0.1:9")
    node = start()
    with Wire(node.tls_port()) as wire:
        answer = wire.ask("/a")
        assert answer.status == 400 and b"HTTPS" in answer.body
        assert wire.is_closed()
    with Wire(node.tls_port()) as wire:
        assert wire.send(b"\0" * 100).is_closed()


def test_shows_its_settings_and_no_secrets(files, start):
    keys = files.place / "ticket.keys"
    keys.write_bytes(content(96))
    files.write("http://127.0.0.1:9", tls=f'ticket_keys = "{keys}"\nprotocols = ["http/1.1"]')
    node = start()
    node.says("TLS from version 1.2 by ")
    with files.connect(node):
        until(lambda: node.status()["tls"]["connections_open"] == 1, "the connection is counted")
    until(lambda: node.status()["tls"]["connections_open"] == 0, "the connection ends")
    assert node.tls_counters()["handshakes_finished"] == 1
    shown = node.tls()
    assert shown["ticket_keys"] == 2 and shown["protocols"] == ["http/1.1"] and shown["ticket_keys_file"] == str(keys)
    assert shown["certificates"][0]["names"] == [NAME, f"*.{NAME}"]
    config = node.call("GET", "/v1/config")[1]["config"]["tls"]
    assert config["certificates"] == [{"certificate": str(files.leaf.chain), "key": str(files.leaf.key)}]
    secret = re.sub(r"-----.*?-----|\s", "", files.leaf.key.read_text())[20:60]
    for path in ("/v1/tls", "/v1/status", "/v1/config", "/v1/counters", "/metrics"):
        assert secret not in node.request("GET", path)[2]


# --- reload ----------------------------------------------------------------------------------------------------------------


def test_a_renewed_certificate_drops_nobody(files, start, nginx_origin):
    nginx_origin.put("/big", BIG)
    files.write(nginx_origin.url)
    node = start()
    with files.connect(node, receive_buffer=16384) as listening:
        old = listening.serial
        listening.send(request("/big"))
        head = listening.head()
        body = listening.exactly(100_000)
        files.renew(kind="rsa")
        assert node.call("POST", "/v1/reload") == (200, {"schema": 1, "reloaded": True, "restart_required": []})

        def serial(version: str) -> int:
            with files.connect(node, version) as wire:
                assert wire.ask("/big", "Range: bytes=0-9").body == BIG[:10]
                return wire.serial
        new = until(lambda: (now := serial("1.3")) != old and now, "new connections see the new certificate")
        assert serial("1.2") == new
        body += listening.exactly(int(head["Content-Length"]) - len(body))
        assert body == BIG
        assert listening.ask("/big", "Range: bytes=5-9").body == BIG[5:10]
    assert node.status()["config"]["reloads"] == 1


def test_wrong_files_change_nothing(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    node = start()
    leaf = files.leaf
    good = leaf.chain.read_bytes(), leaf.key.read_bytes()

    def problem() -> str:
        status, answer = node.call("POST", "/v1/reload")
        assert status == 422
        [told] = answer["problems"]
        assert told["key"] == "tls.certificates[0]" and told["line"] > 0
        return told["reason"]

    with files.connect(node) as open_meanwhile:
        leaf.key.write_bytes(files.ca.issue("other.example").key.read_bytes())
        reason = problem()
        assert "does not belong to the first certificate" in reason and str(leaf.key) in reason
        node.signal(signal.SIGHUP)
        until(lambda: node.status()["config"]["reloads_refused"] == 2, "both were counted")
        leaf.chain.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
        assert str(leaf.chain) in problem()
        with files.connect(node) as wire:
            assert wire.serial == open_meanwhile.serial and wire.ask("/a").body == b"hello"
        assert open_meanwhile.ask("/a").body == b"hello"
    for file, data in zip((leaf.chain, leaf.key), good):
        file.write_bytes(data)
    assert node.call("POST", "/v1/reload")[0] == 200


def test_says_which_tls_keys_want_a_restart(files, start):
    files.write("http://127.0.0.1:9")
    node = start()
    files.write("http://127.0.0.1:9", tls="[tls.helpers]\nthreads = 3")
    assert node.call("POST", "/v1/reload")[1]["restart_required"] == ["tls.helpers"]
    assert node.call("GET", "/v1/config")[1]["config"]["tls"]["helpers"]["threads"] == 2


@pytest.mark.parametrize(("days", "says"), [(-1, " error the certificate {} .*has expired"), (9.5, " warning the certificate {} .*expires in 9 days"),
                                            (60, None)])
def test_says_that_a_certificate_ends(files, start, days, says):
    files.renew(days=days)
    files.others = [files.ca.issue("later.example", days=80)]
    files.write("http://127.0.0.1:9")
    node = start()
    says = says and says.format(re.escape(str(files.leaf.chain)))
    assert (re.search(says, node.log) if says else "certificate /" not in node.log), node.log
    assert str(files.others[0].chain) not in node.log
    left = node.metric(f'nearfield_tls_certificate_expiry_timestamp_seconds{{file="{files.leaf.chain}"') - time.time()
    assert abs(left - days * 86400) < 600
    first, later = node.status()["tls"]["certificates"]
    assert (first["names"], later["names"]) == ([NAME, f"*.{NAME}"], ["later.example"])
    assert abs(first["expires_in_seconds"] - left) < 5 and abs(later["expires_in_seconds"] - 80 * 86400) < 600
    with contextlib.ExitStack() as stack:
        if days < 0:
            stack.enter_context(pytest.raises(ssl.SSLCertVerificationError, match="expired"))
        stack.enter_context(files.connect(node))
    before = len(node.lines)
    assert node.call("POST", "/v1/reload")[0] == 200
    if says:
        until(lambda: any(re.search(says, line) for line in node.lines[before:]), "it is said again at a reload")


# --- resumption ------------------------------------------------------------------------------------------------------------


class Session:
    """What OpenSSL keeps of a session in a file."""

    def __init__(self, files: Files, version: str):
        self.ca, self.version, self.file = files.ca, version, files.place / "session"

    def resumes(self, node: Program) -> bool:
        """Takes the new ticket along."""
        resume = ["-sess_in", str(self.file)] if self.file.exists() else []
        said = s_client(self.ca, node.tls_port(), self.version, "-sess_out", str(self.file), *resume, send=get("/a")).says("HTTP/1.1 200 OK")
        assert said.code == 0
        return said.found(r"(?m)^(New|Reused), TLSv1\.[23]") == "Reused"


@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_nodes_of_a_site_resume_each_others_sessions(files, start, program, nginx_origin, version):
    nginx_origin.put("/a", b"hello")
    keys = files.place / "ticket.keys"
    old, new, strange = (content(48, seed=seed) for seed in (1, 2, 3))
    keys.write_bytes(old)
    files.write(nginx_origin.url, tls=f'ticket_keys = "{keys}"')
    session = Session(files, version)
    first = start()
    assert not session.resumes(first)
    assert session.resumes(first)
    if files.link.transport == "uring":
        other = files.place / "d"
        second = program("--config", files.write(nginx_origin.url, tls=f'ticket_keys = "{keys}"', control=other), control=other).serves()
        assert session.resumes(second)
        assert second.tls_counters()["handshakes_resumed"] == 1
        files.write(nginx_origin.url, tls=f'ticket_keys = "{keys}"')
    first.signal(signal.SIGTERM)
    assert first.ends() == 0
    again = start()
    assert session.resumes(again)
    of_old = session.file.read_bytes()
    # The key goes by way of the second place; who has only the new one begins anew.
    keys.write_bytes(new + old)
    assert again.call("POST", "/v1/reload")[0] == 200
    assert session.resumes(again)
    assert again.status()["tls"]["ticket_keys"] == 2
    # A file that is wrong changes nothing.
    keys.write_bytes(new[:-1])
    status, answer = again.call("POST", "/v1/reload")
    assert status == 422 and str(keys) in answer["problems"][0]["reason"], answer
    assert session.resumes(again)
    keys.write_bytes(new)
    assert again.call("POST", "/v1/reload")[0] == 200
    session.file.write_bytes(of_old)
    assert not session.resumes(again)
    assert session.resumes(again)
    keys.write_bytes(strange)
    assert again.call("POST", "/v1/reload")[0] == 200
    assert not session.resumes(again)
    assert again.metric('nearfield_tls_helper_handshakes_total{kind="resumed"}') == 4
    # Nor does it resume with a key of the process's own.
    again.signal(signal.SIGTERM)
    assert again.ends() == 0
    files.write(nginx_origin.url)
    assert not session.resumes(start())


def test_sessions_end_with_a_process_that_has_its_own_keys(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url)
    session = Session(files, "-tls1_3")
    first = start()
    assert not session.resumes(first)
    assert session.resumes(first)
    assert first.call("POST", "/v1/reload")[0] == 200
    assert session.resumes(first)  # a reload is no restart
    first.signal(signal.SIGTERM)
    assert first.ends() == 0
    assert not session.resumes(start())


# --- redirect, HSTS, client certificates -----------------------------------------------------------------------------------


def test_sends_clear_text_to_https(files, start, nginx_origin):
    nginx_origin.put("/a", b"hello")
    files.write(nginx_origin.url, more='[https]\nredirect = true\nredirect_port = 8443\nhsts = "365d"\nhsts_subdomains = true')
    node = start()
    got = ask(node.port(), "/a?b=c", address="::1")
    assert (got.status, got["Location"]) == (301, f"https://{NAME}:8443/a?b=c")
    assert "Strict-Transport-Security" not in got
    assert ask(node.port(), "/a", address="::1", method="POST", body=b"x").status == 308
    with Wire(node.port(), address="::1") as wire:  # HTTP/1.0 may name nobody, and is not served in clear text for that
        wire.send(b"GET /a HTTP/1.0\r\n\r\n")
        answer = wire.response()
        assert answer.status == 400 and b"hello" not in answer.body
    with files.connect(node) as wire:
        got = wire.ask("/a")
        assert (got.status, got.body) == (200, b"hello")
        assert got["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
        files.write(nginx_origin.url, more='[https]\nredirect = true\nhsts = "365d"')
        assert node.call("POST", "/v1/reload")[0] == 200
        until(lambda: wire.ask("/a")["Strict-Transport-Security"] == "max-age=31536000", "subdomains are left out")
    got = ask(node.port(), "/a?b=c", address="::1", host=f"{NAME}:{node.port()}")
    assert (got.status, got["Location"]) == (301, f"https://{NAME}/a?b=c") and "Strict-Transport-Security" not in got
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


@pytest.mark.parametrize("version", ["1.3", "1.2"])
def test_asks_listeners_for_certificates(files, start, nginx_origin, version):
    nginx_origin.put("/a", b"hello")
    clients = Authority(files.place / "clients", "clients")
    files.write(nginx_origin.url, tls=f'client_certificates = "required"\nclient_ca = "{clients.file}"')
    node = start()

    def refused(leaf: Leaf | None) -> str:
        """With which words; "" is served."""
        context = files.ca.context(version)
        if leaf:
            context.load_cert_chain(leaf.chain, leaf.key)
        try:
            with SslWire(node.tls_port(), context) as wire:
                assert wire.ask("/a").body == b"hello"
                return ""
        except (ssl.SSLError, Broken, ConnectionError) as error:
            return str(error) or "refused"

    good = clients.issue("listener")
    strangers = files.ca.issue("stranger"), Authority(files.place / "strangers", "clients").issue("listener")
    assert not refused(good)
    none = refused(None)
    assert none and (version == "1.2" or "CERTIFICATE_REQUIRED" in none), none
    assert all(map(refused, strangers))
    assert node.metric('nearfield_tls_helper_failures_total{reason="peer_certificate"}') == 3
    files.write(nginx_origin.url, tls=f'client_certificates = "optional"\nclient_ca = "{clients.file}"')
    assert node.call("POST", "/v1/reload")[0] == 200
    until(lambda: not refused(None), "nobody is asked for more than they have")
    assert not refused(good)
    assert all(map(refused, strangers))


# --- handshakes that nobody finishes ---------------------------------------------------------------------------------------


def test_a_thousand_half_done_handshakes_are_bounded_and_expire(files, start, nginx_origin):
    nginx_origin.put("/a", BIG)
    files.write(nginx_origin.url, tls='[tls.handshakes]\ntimeout = "3s"\ntotal = 400\nper_prefix = 400')
    node = start()
    port, hello = node.tls_port(), record(HANDSHAKE, Hello().encoded(), 0x0301)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    half: list[Wire] = []
    try:
        with files.connect(node) as listening:
            assert listening.ask("/a").body == BIG
            longest = 0.0
            for number in range(1000):
                with contextlib.suppress(ConnectionError):  # of those that are too many
                    half.append(Wire(port))
                    half[-1].send(hello[:len(hello) // 2])
                if number % 50 == 0:
                    began = time.monotonic()
                    assert listening.ask("/a", "Range: bytes=1000-65999").body == BIG[1000:66000]
                    longest = max(longest, time.monotonic() - began)
                    assert node.metric("nearfield_tls_handshakes_open") <= 400
            assert longest < 5  # a machine that is busy elsewhere may stand still for a while
            until(lambda: sum(node.tls_counters()[f"handshakes_{what}"] for what in ("begun", "refused_total", "refused_prefix")) >= 1001,
                  "every connection was met")
            until(lambda: node.metric("nearfield_tls_handshakes_open") == 0, "what is left expires")
            counters = node.tls_counters()
            # Whoever says nothing for longest gives way to the next, or has expired before.
            assert counters["handshakes_expired"] + counters["handshakes_evicted"] == counters["handshakes_begun"] - 1
            assert listening.ask("/a").body == BIG
        with files.connect(node) as wire:
            assert wire.ask("/a", "Range: bytes=0-9").body == BIG[:10]
    finally:
        for one in half:
            one.reset()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- origins ---------------------------------------------------------------------------------------------------------------


def test_fetches_from_an_origin_over_tls(files, start, ending):
    clients = Authority(files.place / "clients", "clients")
    own = clients.issue("node", days=10)
    origin = ending.enter_context(contextlib.closing(SecureOrigin(files.leaf, clients)))
    for number in range(10):
        origin.on(f"/{number}", lambda asked: not asked.answer(b"hello", "Connection: close"))
    url = origin.url

    def group_of(tls: str) -> str:
        # Never put aside: what is tried next is tried.
        return f"[origin.health]\nfailures_to_eject = 1000\n[origin.tls]\n{tls}"

    name = f'server_name = "{NAME}"\n'
    trusted = f'ca = "{files.ca.file}"\n'
    shown = f'certificate = "{own.chain}"\nkey = "{own.key}"\n'
    files.write(url, origin=group_of(name + trusted + shown))
    node = start()
    assert re.search(rf" warning the certificate {re.escape(str(own.chain))} .*expires in (9|10) days", node.log), node.log
    assert ask(node.port(), "/0", address="::1").body == b"hello"
    assert node.tls_counters()["origin_handshakes_finished"] == 1
    assert node.status()["tls"]["origin_certificates"][0]["file"] == str(own.chain)
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
