"""Origins over https: nginx, openssl s_server and Python's ssl as servers; who is trusted, what breaks, and what the operator is told."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate_support import Authority, Leaf
from cryptography.x509.oid import ExtendedKeyUsageOID
from link_support import at_home
from node_support import Node, configuration, group, until
from origin_support import Asked, Nginx, SecureOrigin, content, free_port
from tls_tools_support import s_server
from wire_support import Wire, ask, member

KIB, MIB = 1024, 1024 * 1024
NAME = "origin.example"
TAG = 'ETag: "one"'


# --- servers ---


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    """Nobody trusts it."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def leaf(ca) -> Leaf:
    return ca.issue(NAME)


class SecureNginx(Nginx):
    """nginx that speaks TLS on `secure_port`, too; `more` are further directives of its server."""

    def __init__(self, leaf: Leaf, more: str = ""):
        self.secure_port = free_port()
        super().__init__(more=f"listen 127.0.0.1:{self.secure_port} ssl; ssl_certificate {leaf.chain}; ssl_certificate_key {leaf.key}; {more}")
        self.url = f"https://127.0.0.1:{self.secure_port}"


def tls(ca: Authority | None, more: str = f'server_name = "{NAME}"') -> str:
    """[origin.tls] that trusts `ca`."""
    return "[origin.tls]\n" + (f'ca = "{ca.file}"\n' if ca else "") + more + "\n"


@pytest.fixture(scope="module")
def nginx(leaf) -> Iterator[SecureNginx]:
    with contextlib.closing(SecureNginx(leaf)) as server:
        yield server


@pytest.fixture(scope="module")
def scripted(leaf) -> Iterator[SecureOrigin]:
    with contextlib.closing(SecureOrigin(leaf)) as server:
        yield server


@pytest.fixture(scope="module")
def node(ca, nginx) -> Iterator[Node]:
    with Node(group(nginx.url, more=tls(ca))) as started:
        yield started


@pytest.fixture(scope="module")
def faulty(ca, scripted) -> Iterator[Node]:
    with Node(group(scripted.url, more="[origin.health]\nfailures_to_eject = 1000\n" + tls(ca))) as started:
        yield started


def origin_of(node: Node) -> dict:
    return node.status()["origins"][0]


def pin_of(leaf: Leaf) -> str:
    return "sha256/" + base64.b64encode(leaf.public_key_digest).decode()


# --- what works ---


def test_objects_of_every_size_arrive_whole(node, nginx):
    for size in (0, 1, 1000, 16_384, 16_385, 100_000, 3 * MIB):
        data = nginx.put(f"/size/{size}", content(size))
        response = ask(node.port, f"/size/{size}")
        assert response.complete and response.body == data
        again = ask(node.port, f"/size/{size}")
        assert again.body == data and "hit" in member(again["Cache-Status"])


def test_a_large_body_arrives_whole(node, nginx):
    data = nginx.put("/large", content(60 * MIB))
    response = ask(node.port, "/large")
    assert response.complete and response.body == data


def test_a_host_name_is_verified_and_its_connection_kept(ca):
    with contextlib.closing(SecureNginx(ca.issue("localhost"))) as nginx, \
            Node(group(f"https://localhost:{nginx.secure_port}", more=tls(ca, ""))) as node:
        for i in range(20):
            data = nginx.put(f"/{i}", content(1000, i))
            assert ask(node.port, f"/{i}").body == data
        assert nginx.log("/0")[0][3] == "music.example", "the Host is the listener's, not the server's name"
        assert origin_of(node)["connections_open"] <= 2, "one a worker"


def test_many_connections_at_once(ca, nginx):
    with Node(group(nginx.url, more=tls(ca)), workers=2) as node:
        objects = {f"/many/{i}": nginx.put(f"/many/{i}", content(20_000, i)) for i in range(200)}

        def fetch(path: str) -> bool:
            response = ask(node.port, path)
            return response.status == 200 and response.body == objects[path]

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            assert all(pool.map(fetch, objects))
        assert origin_of(node)["failures"]["overloaded"] == 0


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_servers_of_one_version(ca, version, kind):
    with contextlib.closing(SecureNginx(ca.issue(NAME, kind=kind), f"ssl_protocols {version};")) as nginx, \
            Node(group(nginx.url, more=tls(ca))) as node:
        data = nginx.put("/song", content(300_000))
        assert ask(node.port, "/song").body == data


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_every_suite(ca, leaf, suite):
    with contextlib.closing(SecureNginx(leaf, f"ssl_conf_command Ciphersuites {suite};")) as nginx, Node(group(nginx.url, more=tls(ca))) as node:
        data = nginx.put("/song", content(300_000))
        assert ask(node.port, "/song").body == data


def test_a_client_certificate_where_the_server_wants_one(ca, leaf):
    own = ca.issue("node.example")
    demands = f"ssl_client_certificate {ca.file}; ssl_verify_client on;"
    with contextlib.closing(SecureNginx(leaf, demands)) as nginx:
        data = nginx.put("/song", content(1000))
        shown = f'server_name = "{NAME}"\ncertificate = "{own.chain}"\nkey = "{own.key}"'
        with Node(group(nginx.url, more=tls(ca, shown))) as node:
            assert ask(node.port, "/song").body == data
            assert node.status()["tls"]["origin_certificates"][0]["names"] == ["node.example"]
        with Node(group(nginx.url, more=tls(ca))) as node:
            assert ask(node.port, "/song").status in (400, 502), "nginx answers 400 to those without one"


def test_pins(ca, leaf, nginx, stranger):
    data = nginx.put("/pinned", content(1000))
    with Node(group(nginx.url, more=tls(ca, f'server_name = "{NAME}"\npins = ["{pin_of(stranger.issue(NAME))}", "{pin_of(leaf)}"]'))) as node:
        assert ask(node.port, "/pinned").body == data
    with Node(group(nginx.url, more=tls(ca, f'server_name = "{NAME}"\npins = ["{pin_of(stranger.issue(NAME))}"]'))) as node:
        assert ask(node.port, "/pinned").status == 502
        assert "pinned" in origin_of(node)["last_failure"]
    # A pin alone says who it is, whatever the certificate says.
    with Node(group(nginx.url, more=tls(None, f'verify = false\npins = ["{pin_of(leaf)}"]'))) as node:
        assert ask(node.port, "/pinned").body == data


def test_active_checks(ca, nginx):
    nginx.put("/check", b"well")
    health = '[origin.health]\npath = "/check"\ninterval = "100ms"\nunhealthy_after = 1\n'
    with Node(group(nginx.url, more=health + tls(ca))) as node:
        until(lambda: len(nginx.log("/check")) >= 2, "two checks")
        assert origin_of(node)["state"] == "healthy"
    with Node(group(nginx.url, more=health + tls(ca, 'server_name = "other.example"'))) as node:
        until(lambda: origin_of(node)["state"] == "unhealthy", "the check fails")
        assert "TLS: " in origin_of(node)["reason"]


# --- who is not trusted ---


def refused(node: Node, path: str = "/song") -> str:
    """502, and what the operator is told."""
    assert ask(node.port, path).status == 502
    said = origin_of(node)["last_failure"]
    assert "TLS: " in said
    return said


def test_another_name_is_refused(ca, nginx):
    with Node(group(nginx.url, more=tls(ca, 'server_name = "other.example"'))) as node:
        assert f"it is not for 'other.example' but for {NAME}" in refused(node)


def test_a_common_name_is_no_name(ca):
    """RFC 9525: an authority has checked the names in the extension."""
    with contextlib.closing(SecureNginx(ca.issue(NAME, is_named=False))) as nginx, Node(group(nginx.url, more=tls(ca))) as node:
        assert f"it is not for '{NAME}': it has no subject alternative name" in refused(node)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_certificate_for_other_uses_is_refused(ca, version):
    leaf = ca.issue(NAME, uses=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    with contextlib.closing(SecureNginx(leaf, f"ssl_protocols TLSv{version};")) as nginx, Node(group(nginx.url, more=tls(ca))) as node:
        assert "its extended key usage does not name what it is used for" in refused(node)


def test_an_address_is_verified_too(ca, nginx):
    with Node(group(nginx.url, more=tls(ca, ""))) as node:
        assert "127.0.0.1" in refused(node)


def test_an_expired_certificate_is_refused(ca):
    with contextlib.closing(SecureNginx(ca.issue(NAME, days=-0.01))) as nginx, Node(group(nginx.url, more=tls(ca))) as node:
        assert "expired" in refused(node)


def test_a_certificate_of_an_unknown_authority_is_refused(ca, stranger, nginx):
    with Node(group(nginx.url, more=tls(stranger))) as node:
        refused(node)


def test_the_systems_authorities_do_not_vouch_for_a_self_signed_one(nginx):
    if not Path("/etc/ssl/certs/ca-certificates.crt").is_file():
        pytest.skip("no bundle of the system")
    with Node(group(nginx.url, more=tls(None))) as node:
        refused(node)


def test_without_verification_anyone_serves_and_the_log_says_so(nginx):
    data = nginx.put("/unverified", content(1000))
    with Node(group(nginx.url, more=tls(None, "verify = false"))) as node:
        assert ask(node.port, "/unverified").body == data
        assert "not verified" in node.log.read_text()


def test_an_older_version_than_wanted_is_refused(ca, leaf):
    with contextlib.closing(SecureNginx(leaf, "ssl_protocols TLSv1.2;")) as nginx, \
            Node(group(nginx.url, more=tls(ca, f'server_name = "{NAME}"\nminimum_version = "1.3"'))) as node:
        refused(node)


def test_a_server_without_tls_is_named(ca, nginx):
    with Node(group(f"https://127.0.0.1:{nginx.port}", more=tls(ca))) as node:
        assert "does not speak TLS on this port" in refused(node)


def test_one_that_is_not_trusted_is_not_asked_in_a_loop(stranger, nginx):
    with Node(group(nginx.url, more=tls(stranger)), workers=1) as node:
        for _ in range(30):
            assert ask(node.port, "/song").status == 502
        tried = node.tls_counters()["origin_handshakes_failed"]
        assert tried <= 8, "set aside after five"
        assert origin_of(node)["state"] in ("ejected", "probing") and "TLS: " in origin_of(node)["reason"]


def test_the_next_server_takes_over(ca, stranger, nginx):
    data = nginx.put("/taken-over", content(1000))
    with contextlib.closing(SecureNginx(stranger.issue(NAME))) as wrong:
        servers = group(f'{{ url = "{wrong.url}" }}', f'{{ url = "{nginx.url}", priority = 2 }}', more=tls(ca))
        with Node(servers) as node:
            assert ask(node.port, "/taken-over").body == data


def test_a_reload_uses_files_that_changed(ca, stranger, nginx, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(stranger.file.read_bytes())
    more = f'ca = "{bundle}"\nserver_name = "{NAME}"\n'
    with Node(group(nginx.url, more="[origin.health]\nfailures_to_eject = 1000\n[origin.tls]\n" + more)) as node:
        refused(node)
        bundle.write_bytes(stranger.file.read_bytes() + ca.file.read_bytes())
        assert node.call("POST", "/v1/reload")[0] == 200
        data = nginx.put("/reloaded/1", content(1000))
        assert ask(node.port, "/reloaded/1").body == data
        bundle.write_text("nothing")
        status, answer = node.call("POST", "/v1/reload")
        assert status == 422 and "bundle.pem" in str(answer)
        assert [(each["key"], each["line"] > 0) for each in answer["problems"]] == [("origin[0].tls", True)]
        data = nginx.put("/reloaded/2", content(1000))
        assert ask(node.port, "/reloaded/2").body == data, "what worked works on"


def test_a_file_that_is_missing_is_named_at_the_start(program, link, tmp_path, nginx):
    place = tmp_path / "node.toml"
    place.write_text(configuration(link, tmp_path / "c", group(nginx.url, more=tls(None, f'ca = "{tmp_path}/missing.pem"'))))
    started = program("--config", place)
    started.says("missing.pem")
    assert started.process.wait(20) != 0


# --- what breaks ---


@pytest.mark.parametrize("how", ["in order", "rudely"])
def test_a_body_that_breaks_is_continued_where_it_stopped(faulty, scripted, how):
    data = content(500 * KIB)

    def script(asked: Asked):
        scripted.is_rude = how == "rudely"
        if asked.number == 0:
            asked.answer(data[:200_000], TAG, length=len(data))
            return False
        assert asked["If-Range"] == '"one"' and 0 < asked.range_from() <= 200_000
        return asked.answer_rest(data, TAG)

    target = scripted.on(f"/resumed/{how[0]}", script)
    response = ask(faulty.port, target)
    assert response.complete and response.body == data
    assert len(scripted.to(target)) == 2


def test_a_body_until_the_end_is_whole_only_with_close_notify(faulty, scripted):
    data = content(100 * KIB)

    def script(asked: Asked):
        scripted.is_rude = asked.number == 0
        asked.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nConnection: close\r\n\r\n" + data)
        return False

    target = scripted.on("/until-the-end", script)
    broken = ask(faulty.port, target)
    assert not broken.complete, "it may have been cut off"
    faulty.settled()
    whole = ask(faulty.port, target)
    assert whole.complete and whole.body == data and len(scripted.to(target)) == 2
    again = ask(faulty.port, target)
    assert again.body == data and "hit" in member(again["Cache-Status"])


def test_a_whole_body_needs_no_close_notify(faulty, scripted):
    data = content(300 * KIB)

    def script(asked: Asked):
        scripted.is_rude = True
        asked.answer(data)
        return False

    for i in range(5):
        response = ask(faulty.port, scripted.on(f"/rude/{i}", script))
        assert response.complete and response.body == data


@pytest.mark.parametrize("is_rude", [False, True])
def test_kept_connections_that_end_are_nobodys_failure(faulty, scripted, is_rude):
    before, farewells = origin_of(faulty)["failures"], scripted.farewells
    for i in range(5):
        data = content(1000, i)

        def script(asked: Asked, data: bytes = data):
            scripted.is_rude = is_rude
            asked.answer(data)  # as one that is to be kept
            return False

        response = ask(faulty.port, scripted.on(f"/kept/{is_rude}/{i}", script))
        assert response.status == 200 and response.body == data
        until(lambda: origin_of(faulty)["connections_open"] == 0, "the node sees it")
    assert origin_of(faulty)["failures"] == before
    if not is_rude:
        until(lambda: scripted.farewells == farewells + 5, "close_notify is answered before the connection ends")


def test_a_handshake_that_stands_still_costs_the_connect_time(ca):
    with at_home():
        silent = socket.create_server(("127.0.0.1", 0))
    with silent, Node(group(f"https://127.0.0.1:{silent.getsockname()[1]}", more='[origin.timeouts]\nconnect = "300ms"\n' + tls(ca))) as node:
        begin = time.monotonic()
        assert ask(node.port, "/song").status == 504
        assert time.monotonic() - begin < 5
        assert "TLS: the handshake was not finished in 300ms" in origin_of(node)["last_failure"]


# --- openssl s_server ---


@pytest.mark.parametrize("command", ["k", "K"])  # its own keys; and asks for ours, too
def test_the_server_renews_its_keys_in_the_middle(ca, leaf, command):
    port = free_port()
    with s_server(leaf, port, "-crlf") as typed, Node(group(f"https://127.0.0.1:{port}", more=tls(ca))) as node:
        with Wire(node.port) as wire:
            wire.send(b"GET /typed HTTP/1.1\r\nHost: music.example\r\n\r\n")
            typed.says("GET /typed HTTP/1.1")
            typed.types("HTTP/1.1 200 OK\nContent-Length: 22\nCache-Control: max-age=60\n\nfirst half\n")
            until(lambda: b"first half" in wire.buffer or wire.more(), "the first half")
            typed.types(f"{command}\n").says("SSL_do_handshake -> 1")
            typed.types("the rest\n")
            response = wire.response()
            assert response.complete and response.body == b"first half\r\nthe rest\r\n"
            if command == "K":
                counters = until(lambda: (now := node.tls_counters())["key_updates_sent"] and now, "our new keys")
                assert counters["key_updates_received"] == 1
            # The connection goes on with the new keys, in both directions.
            wire.send(b"GET /typed/again HTTP/1.1\r\nHost: music.example\r\n\r\n")
            typed.says("GET /typed/again HTTP/1.1")
            typed.types("HTTP/1.1 200 OK\nContent-Length: 7\nCache-Control: max-age=60\n\nagain\n")
            assert wire.response().body == b"again\r\n"
