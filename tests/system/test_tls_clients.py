"""Clients of others over TLS: curl, OpenSSL, GnuTLS, Chromium and h2load agree with the node on what it offers, and get the origin's bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from base64 import b64encode
from pathlib import Path

import pytest
from certificate_support import Authority
from link_support import authority as authority_of
from link_support import dialled
from node_support import group, until
from origin_support import content
from tls_support import TlsNode
from tls_tools_support import Interactive, curl, get, gnutls, gnutls_command, s_client, s_client_command, url
from wire_support import NAME, ask

KIB, MIB = 1024, 1024 * 1024
SONG = content(300_000)
TLS13_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
TLS12_SUITES = tuple(f"ECDHE-{key}-{cipher}" for key in ("ECDSA", "RSA") for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"))


@pytest.fixture(scope="module")
def leaves(ca):
    return {"ecdsa": ca.issue(NAME, "www.music.example"), "rsa": ca.issue(NAME, kind="rsa"), "wildcard": ca.issue("*.edge.example"),
            "exact": ca.issue("one.edge.example")}


@pytest.fixture(scope="module")
def node(origin, leaves):
    origin.put("/song", SONG)
    origin.put("/small", SONG[:10_000])
    with TlsNode(group(origin.url), list(leaves.values()), cache='maximum_object = "32M"') as started:
        yield started
        # Nobody here breaks the protocol.
        counters = started.tls_counters()
        assert (counters["records_refused"], counters["handshakes_expired"], counters["handshakes_refused_queue"]) == (0, 0, 0), counters
        assert started.counters()["responses_broken"] == 0


# --- curl ---


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 1 * MIB + 1, 20 * MIB])
def test_curl_gets_every_byte_cold_and_warm(ca, node, origin, size, version):
    data = origin.put(f"/whole/{version}/{size}", content(size))
    for _ in range(2):
        done = curl(ca, node.tls_port, f"/whole/{version}/{size}", f"--http{version}", "-w", "%{stderr}%{http_version} %{ssl_verify_result}")
        assert (done.returncode, done.stderr.decode()) == (0, f"{version} 0")
        assert done.stdout == data


def test_curl_over_ipv6(ca, node):
    done = curl(ca, node.tls_port_v6, "/song", address="::1")
    assert (done.stderr, done.stdout) == (b"", SONG)


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_curl_asks_for_a_range_and_a_head(ca, node, version):
    done = curl(ca, node.tls_port, "/song", f"--http{version}", "-r", "100000-199999")
    assert (done.stderr, done.stdout) == (b"", SONG[100_000:200_000])
    head = curl(ca, node.tls_port, "/song", f"--http{version}", "-I").stdout.decode().lower()
    assert re.match(rf"http/{version} 200", head) and "content-length: 300000\r\n" in head


def test_the_access_log_tells_protocols_and_versions_apart(ca, origin, leaves, tmp_path):
    origin.put("/song", SONG)
    log = tmp_path / "access.jsonl"
    with TlsNode(group(origin.url), [leaves["ecdsa"]], more=f'[access_log]\npath = "{log}"') as node:
        for options in (["--http1.1", "--tls-max", "1.2"], ["--http1.1"], ["--http2"]):
            assert curl(ca, node.tls_port, "/song", *options).stdout == SONG
        assert ask(node.port, "/song").status == 200
        lines = until(lambda: len(got := log.read_text().splitlines()) >= 4 and got, "four lines")
    seen = {(line["protocol"], line.get("tls")) for line in map(json.loads, lines)}
    assert seen == {("HTTP/1.1", "TLSv1.2"), ("HTTP/1.1", "TLSv1.3"), ("HTTP/2", "TLSv1.3"), ("HTTP/1.1", None)}


def test_curl_takes_many_one_after_the_other_and_at_once(ca, node, tmp_path):
    for options in (["--http1.1"], ["--http2"], ["--http2", "-Z", "--parallel-max", "20"]):
        listed = [word for number in range(40) for word in (url(node.tls_port, f"/song?{number % 4}"), "-o", str(tmp_path / str(number)))]
        done = curl(ca, node.tls_port, "/song", *options, "-o", str(tmp_path / "last"), *listed)
        assert (done.returncode, done.stderr) == (0, b"")
        assert {(tmp_path / str(number)).read_bytes() == SONG for number in range(40)} == {True}


def test_curl_uploads_what_is_not_for_us_and_is_told_so(ca, node):
    done = curl(ca, node.tls_port, "/song", "--http1.1", "--data-binary", "x" * 100_000, "-o", "/dev/null", "-w", "%{http_code}")
    assert done.stdout == b"405", done  # nginx's, for files


# --- OpenSSL ---


@pytest.mark.parametrize("suite", TLS13_SUITES)
@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_openssl_with_each_suite_of_tls_1_3(ca, node, suite, key):
    signatures = {"ecdsa": "ecdsa_secp256r1_sha256", "rsa": "rsa_pss_rsae_sha256"}[key]
    done = s_client(ca, node.tls_port, "-tls1_3", "-ciphersuites", suite, "-sigalgs", signatures, send=get("/song"))
    done.says(rf"New, TLSv1\.3, Cipher is {suite}\n")
    assert SONG in done.bytes


@pytest.mark.parametrize("suite", TLS12_SUITES)
def test_openssl_with_each_suite_of_tls_1_2(ca, node, suite):
    done = s_client(ca, node.tls_port, "-tls1_2", "-cipher", suite, send=get("/song"))
    done.says(rf"New, TLSv1\.2, Cipher is {suite}\n", r"Verify return code: 0 \(ok\)", "Secure Renegotiation IS supported", "Extended master secret: yes")
    assert SONG in done.bytes


@pytest.mark.parametrize("suites", ["ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256:AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"])
def test_openssl_with_suites_that_are_not_offered(ca, node, suites):
    """CBC, static RSA, Diffie-Hellman over finite fields."""
    done = s_client(ca, node.tls_port, "-tls1_2", "-cipher", suites)
    assert done.code != 0
    done.says("alert handshake failure")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_openssl_with_versions_of_the_past(ca, node, version):
    done = s_client(ca, node.tls_port, version, "-cipher", "ALL:@SECLEVEL=0")
    assert done.code != 0
    done.says("alert protocol version")


def test_openssl_that_fell_back_is_told_that_it_need_not(ca, node):
    assert s_client(ca, node.tls_port, "-tls1_2", "-fallback_scsv").says("alert inappropriate fallback").code != 0


@pytest.mark.parametrize(("groups", "agreed", "hellos"), [
    ("X25519", "X25519", 1), ("P-256", "ECDH, prime256v1", 1), ("P-384", "ECDH, secp384r1", 1),
    ("X25519MLKEM768:X25519", "X25519", 2),  # the share of the first only: a second ClientHello
    ("*X25519MLKEM768/*X25519:P-256", "X25519", 1),  # shares of both: what clients of today send
    ("P-521:P-256", "ECDH, prime256v1", 2)])
def test_openssl_with_groups(ca, node, groups, agreed, hellos, tmp_path):
    said = tmp_path / "messages"
    done = s_client(ca, node.tls_port, "-tls1_3", "-groups", groups, "-msg", "-msgfile", str(said), send=get("/song"))
    assert done.found(r"Peer Temp Key: (.+), \d+ bits") == agreed
    assert len(re.findall(r">>> .*ClientHello", said.read_text())) == hellos
    assert SONG in done.bytes


def test_openssl_with_groups_of_tls_1_2(ca, node):
    """The curve of an ECDSA certificate counts as well (RFC 8422 5.1): without it the RSA certificate is left."""
    done = s_client(ca, node.tls_port, "-tls1_2", "-groups", "X25519", send=get("/song"))
    done.says("Peer Temp Key: X25519", "Cipher is ECDHE-RSA-")
    assert SONG in done.bytes


def test_openssl_with_groups_that_are_not_offered(ca, node):
    for version in ("-tls1_3", "-tls1_2"):
        assert s_client(ca, node.tls_port, version, "-groups", "X448:P-521").says("alert handshake failure").code != 0


@pytest.mark.parametrize(("name", "certificate"), [
    (NAME, NAME), ("MUSIC.Example", NAME), ("www.music.example", NAME), ("one.edge.example", "one.edge.example"), ("two.edge.example", "*.edge.example")])
@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_openssl_names_a_server(ca, node, name, certificate, version):
    done = s_client(ca, node.tls_port, version, name=name, send=get("/song", name=name))
    assert done.found(r"\nsubject=CN ?= ?(\S+)") == certificate
    done.says("Verify return code: 0")
    assert SONG in done.bytes


@pytest.mark.parametrize("name", ["unknown.example", "edge.example", "a.b.edge.example", None])
def test_openssl_names_a_server_that_is_not_there_and_decides_itself(ca, node, name):
    """The first certificate is served; the client sees that it is not the one it wants."""
    if name is None:
        done = s_client(ca, node.tls_port, name=None, send=get("/song"))
        assert done.found(r"\nsubject=CN ?= ?(\S+)") == NAME
        assert SONG in done.bytes
    else:
        done = s_client(ca, node.tls_port, name=name).says("hostname mismatch")
        assert done.code != 0 and done.found(r"depth=0 CN ?= ?(\S+)") == NAME


@pytest.mark.parametrize(("offered", "agreed"), [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("x,http/1.1", "http/1.1")])
def test_openssl_offers_protocols(ca, node, offered, agreed):
    for version in ("-tls1_3", "-tls1_2"):
        with Interactive(*s_client_command(ca, node.tls_port, version, "-alpn", offered)) as client:
            client.says(f"ALPN protocol: {agreed}")


def test_openssl_offers_no_protocol_of_ours(ca, node):
    for version in ("-tls1_3", "-tls1_2"):
        assert s_client(ca, node.tls_port, version, "-alpn", "imap,x").says("alert no application protocol").code != 0
    done = s_client(ca, node.tls_port, send=get("/song")).says("No ALPN negotiated")
    assert SONG in done.bytes


@pytest.mark.parametrize("command", ["k", "K"])
def test_openssl_renews_keys(ca, node, origin, command, tmp_path):
    """"K" asks for new keys of the node's as well."""
    origin.put("/text", b"what is under the new keys\n" * 1000)
    messages = tmp_path / "messages"
    with Interactive(*s_client_command(ca, node.tls_port, "-tls1_3", "-crlf", "-msg", "-msgfile", str(messages))) as client:
        client.says("read R BLOCK")
        for times in range(1, 4):
            client.types(f"{command}\n").says("KEYUPDATE\n", times)
            client.types(f"GET /text HTTP/1.1\nHost: {NAME}\n\n").says("what is under the new keys\n", 1000 * times)
        client.types("Q\n").ends()
        assert client.process.returncode == 0
    said = messages.read_text()
    assert said.count(">>> TLS 1.3, Handshake [length 0005], KeyUpdate") == 3
    assert said.count("<<< TLS 1.3, Handshake [length 0005], KeyUpdate") == (3 if command == "K" else 0)


def test_openssl_may_not_renegotiate(ca, node):
    """It takes the refusal for the end; the node does not (RFC 5246 7.2.2)."""
    refused = node.tls_counters()["records_refused"]
    with Interactive(*s_client_command(ca, node.tls_port, "-tls1_2", "-msg")) as client:
        client.says("Verify return code: 0").types("R\n").says("no_renegotiation")
        assert "no renegotiation" in client.ends()
    assert node.tls_counters()["records_refused"] == refused


@pytest.mark.parametrize("size", [512, 1024, 2048, 4096])
def test_openssl_wants_short_records(ca, node, size):
    """RFC 6066 4. With TLS 1.3 the extension is not answered."""
    for version in ("-tls1_2", "-tls1_3"):
        done = s_client(ca, node.tls_port, version, "-maxfraglen", str(size), send=get("/song"))
        assert SONG in done.bytes, done.text[-2000:]


def test_openssl_takes_nothing_of_a_node_it_does_not_trust(node, tmp_path):
    done = s_client(Authority(tmp_path), node.tls_port, send=get("/song"))
    assert done.code != 0 and SONG not in done.bytes
    done.says("certificate verify failed")
    node.counted("handshakes_failed", 1)


# --- GnuTLS ---


@pytest.mark.parametrize("priority", [
    "NORMAL", "PFS", "SUITEB128", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA",
    "NORMAL:-GROUP-ALL:+GROUP-SECP384R1", "NORMAL:-GROUP-ALL:+GROUP-FFDHE2048:+GROUP-X25519", "NORMAL:%COMPAT",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH", "NORMAL:%DISABLE_TLS13_COMPAT_MODE", "NORMAL:%NO_SHUFFLE_EXTENSIONS"])
def test_gnutls_with_priorities(ca, node, priority):
    done = gnutls(ca, node.tls_port, "--priority", priority, send=get("/song"))
    assert SONG in done.bytes, done.text[:3000]
    assert done.code == 0


@pytest.mark.parametrize("priority", ["NORMAL:-VERS-ALL:+VERS-TLS1.1", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-128-CCM",
                                      "SECURE256", "NORMAL:%NO_EXTENSIONS:-VERS-TLS1.3"])
def test_gnutls_with_what_is_not_offered(ca, node, priority):
    """SECURE256 takes no signature as weak as those of our keys; without extensions only SHA-1 is left to sign with."""
    assert gnutls(ca, node.tls_port, "--priority", priority).code != 0


@pytest.mark.parametrize("command", ["^rekey^", "^rekey1^"])
def test_gnutls_renews_keys(ca, node, command):
    before = node.tls_counters()["key_updates_received"]
    with Interactive(*gnutls_command(ca, node.tls_port, "--inline-commands")) as client:
        client.says("Simple Client Mode")
        for times in range(1, 3):
            client.types(f"{command}\n").says("Rekey was completed", times)
            client.types(f"HEAD /song HTTP/1.1\r\nHost: {NAME}\r\n\r\n").says("HTTP/1.1 200", times)
    node.counted("key_updates_received", before + 2)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_resumes(ca, node, version):
    before = node.tls_counters()["handshakes_resumed"]
    done = gnutls(ca, node.tls_port, "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "--resume", "--waitresumption", send=get("/song"))
    done.says("This is a resumed session")
    assert SONG in done.bytes
    node.counted("handshakes_resumed", before + 1)


@pytest.mark.parametrize("size", [512, 1000, 4096])
def test_gnutls_wants_short_records(ca, node, size):
    for version in ("1.2", "1.3"):
        done = gnutls(ca, node.tls_port, "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "--recordsize", str(size), send=get("/song"))
        assert SONG in done.bytes, done.text[:3000]


# --- many ---


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_h2load_with_many_connections(node, protocol):
    options = ["--h1"] if protocol == "http/1.1" else []
    done = subprocess.run(["h2load", *options, "-n", "3000", "-c", "200", "-t", "1", "-m", "4", "--connect-to", authority_of(node.tls_port), "--sni", NAME,
                           url(node.tls_port, "/small")], capture_output=True, text=True, timeout=100, check=False)
    assert "3000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout + done.stderr
    assert "status codes: 3000 2xx" in done.stdout
    assert f"Application protocol: {protocol}" in done.stdout


@pytest.mark.parametrize("suite", ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_h2load_with_other_suites(node, suite):
    done = subprocess.run(["h2load", "--h1", "-n", "300", "-c", "30", "-t", "1", "--tls13-ciphers", suite, "--connect-to", authority_of(node.tls_port),
                           "--sni", NAME, url(node.tls_port, "/small")], capture_output=True, text=True, timeout=100, check=False)
    assert "status codes: 300 2xx" in done.stdout, done.stdout + done.stderr
    assert f"Cipher: {suite}" in done.stdout


# --- Chromium ---


def test_chromium_fetches_with_h2_and_refuses_what_it_does_not_trust(node, origin, leaves):
    origin.put("/page.txt", b"<!doctype html>")
    objects = {f"/in-browser/{size}": origin.put(f"/in-browser/{size}", content(size)) for size in (1, 64 * KIB, 1 * MIB, 3 * MIB)}
    trusted = [b64encode(leaves[name].public_key_digest).decode() for name in ("ecdsa", "rsa")]
    asked = {"chromium": shutil.which("chromium"), "address": dialled(node.tls_port), "trusted": trusted, "page": url(node.tls_port, "/page.txt"),
             "paths": [*objects, *objects], "untrusted": url(node.tls_port, "/page.txt", "two.edge.example")}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nf-", dir=memory) as profile:
        done = subprocess.run([shutil.which("node"), str(Path(__file__).with_name("secure_page.mjs")), json.dumps(asked)], capture_output=True,
                              timeout=100, check=False, env={**os.environ, "TMPDIR": profile, "HOME": profile})
    assert done.returncode == 0, done.stderr.decode()
    [told] = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    assert told["security"]["protocol"] == "TLS 1.3" and told["security"]["subjectName"] == NAME
    assert told["untrusted"] == "net::ERR_CERT_AUTHORITY_INVALID"
    assert [(one["digest"], one["protocol"]) for one in told["fetched"]] == 2 * [(hashlib.sha256(data).hexdigest(), "h2") for data in objects.values()]
