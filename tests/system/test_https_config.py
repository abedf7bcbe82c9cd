"""https in the hands of an operator: certificates and their renewal, keys that do not fit, expiry, ticket keys of a site, redirect and HSTS,
client certificates, handshakes that nobody finishes, drain and takeover."""

from __future__ import annotations

import contextlib
import datetime
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
from link_support import Link, Loopback, dialled, needs_sockets
from node_support import group, until
from origin_support import content
from wire_support import Broken, Wire, ask, request

NAME = "music.example"
BIG = content(6_000_000)


def openssl(*arguments: object, **options) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, errors="replace", timeout=30, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stamp(days: float) -> str:
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


class Authority:
    """Signs certificates, and is trusted by the clients of these tests."""

    def __init__(self, place: Path, name: str = "authority"):
        self.place, self.certificate, self.key = place, place / f"{name}.pem", place / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days", 3650,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.certificate)

    def issue(self, stem: str, *, name: str = NAME, begins: float = -100, ends: float = 90) -> tuple[Path, Path]:
        chain, key, wish = (self.place / f"{stem}{ending}" for ending in (".pem", ".key", ".csr"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-addext",
                f"subjectAltName=DNS:{name},DNS:*.{name}", "-keyout", key, "-out", wish)
        openssl("x509", "-req", "-in", wish, "-CA", self.certificate, "-CAkey", self.key, "-copy_extensions", "copy", "-not_before",
                stamp(begins), "-not_after", stamp(ends), "-out", chain)
        return chain, key


class Secure(Wire):
    """A Wire within TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str = NAME, **options):
        super().__init__(port, **options)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
        except BaseException:
            self.socket.close()
            raise

    def more(self) -> None:
        try:
            super().more()
        except ssl.SSLError as error:
            raise Broken(str(error)) from error

    @property
    def serial(self) -> str:
        return self.socket.getpeercert()["serialNumber"]


class Files:
    """A node's configuration and what it names, in one folder."""

    def __init__(self, place: Path, link: Link | Loopback):
        self.link, self.place = link, place
        self.control, self.config = place / "c", place / "node.toml"
        self.authority = Authority(place)
        self.chain, self.key = self.authority.issue("node")

    def write(self, origin_url: str, *, tls: str = "", more: str = "", drain: str = "10s", control: Path | None = None) -> Path:
        """`tls` are further keys of [tls], `more` further tables. Clear text is on IPv6, TLS on IPv4: ports of their own, or the same."""
        self.config.write_text(f"""\
[node]
listen = ["{self.link.listens("[::1]:0")}"]
workers = {self.link.workers(2)}
transport = "{self.link.transport}"
control = "{control or self.control}"
drain_timeout = "{drain}"
[cache]
ram = "64M"
hugepages = false
{group(origin_url)}
[tls]
listen = ["{self.link.listens("127.0.0.1:0")}"]
certificates = [{{ certificate = "{self.chain}", key = "{self.key}" }}]
{tls}
{more}
{self.link.configuration()}
""")
        return self.config

    def trusting(self, *, tls12: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


@pytest.fixture
def files(tmp_path_factory, link) -> Files:
    return Files(tmp_path_factory.mktemp("n"), link)  # short: a socket's path has 80 bytes


@pytest.fixture
def start(program, files):
    """start(...) serves with files.config; see process_support.Program."""
    def started(*arguments: object):
        return program("--config", files.config, *arguments, control=files.control).serves()
    return started


def tls_port(node) -> int:
    return int(node.status()["tls"]["listen"][0].rsplit(":", 1)[1])


def tls_counters(node) -> dict[str, int]:
    return node.call("GET", "/v1/tls")[1]["tls"]["counters"]


def metric(node, name: str) -> float:
    text = node.request("GET", "/metrics")[2]
    return float(next(line for line in text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])


def connections_open(node) -> int:
    return node.status()["tls"]["connections_open"]


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


class Session:
    """What openssl s_client keeps of a session in a file."""

    def __init__(self, files: Files, version: str):
        self.files, self.version, self.file = files, version, files.place / f"session{version}"

    def visit(self, port: int) -> bool:
        """Whether the session was resumed; takes the new ticket along."""
        resume = ["-sess_in", self.file] if self.file.exists() else []
        said = openssl("s_client", "-connect", f"{dialled(port)}:{port}", "-servername", NAME, "-CAfile", self.files.authority.certificate,
                       "-verify_return_error", self.version, "-ign_eof", "-sess_out", self.file, *resume,
                       input=request("/a", "Connection: close").decode())
        assert "HTTP/1.1 200 OK" in said, said
        return re.search(r"^(New|Reused), TLSv1\.[23]", said, re.MULTILINE)[1] == "Reused"


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


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    half = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME)
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    return outgoing.read()


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
            assert longest < 1
            until(lambda: tls_counters(node)["handshakes_begun"] + tls_counters(node)["handshakes_refused_total"]
                  + tls_counters(node)["handshakes_refused_prefix"] >= 1001, "every connection was met")
            until(lambda: metric(node, "nearfield_tls_handshakes_open") == 0, "what is left expires")
            counters = tls_counters(node)
            assert counters["handshakes_refused_total"] + counters["handshakes_refused_prefix"] >= 100
            assert counters["handshakes_expired"] == counters["handshakes_begun"] - 1
            assert listening.ask("/a").body == BIG
        with Secure(port, files.trusting()) as wire:
            assert wire.ask("/a", "Range: bytes=0-9").body == BIG[:10]
    finally:
        for one in half:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- the end of a process --------------------------------------------------------------------------------------------------


class Halfway:
    """A handshake that stops in the middle of its first message, and may go on."""

    def __init__(self, port: int, context: ssl.SSLContext):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.secure = context.wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.secure.do_handshake()
        self.rest = self.outgoing.read()
        self.socket = socket.create_connection((dialled(port), port), timeout=15)
        self.socket.sendall(self.rest[:50])

    def run(self, step):
        while True:
            try:
                done = step()
                self.socket.sendall(self.outgoing.read())
                return done
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                data = self.socket.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()

    def finish(self, target: str) -> bytes:
        self.socket.sendall(self.rest[50:])
        self.run(self.secure.do_handshake)
        self.run(lambda: self.secure.write(request(target)))
        answer = b""
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            while piece := self.run(lambda: self.secure.read(65536)):
                answer += piece
        return answer


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


def test_a_second_signal_ends_handshakes_at_once(files, start):
    files.write("http://127.0.0.1:9", drain="60s", tls='[tls.handshakes]\ntimeout = "60s"')
    node = start()
    halfway = Halfway(tls_port(node), files.trusting())
    until(lambda: connections_open(node) == 1, "the handshake has begun")
    node.signal(signal.SIGTERM)
    node.says("draining")
    node.signal(signal.SIGTERM)
    assert node.ends() == 0
    halfway.socket.close()


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
    files.write(nginx_origin.url)
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
