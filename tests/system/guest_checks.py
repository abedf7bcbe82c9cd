"""What test_guest.py has run inside a guest: a node on that guest's kernel and processor, and clients beside it.

NEARFIELD_GUEST_ENGINE is the AEAD engine that fits the processor, NEARFIELD_GUEST_KERNEL the release of the kernel. Guests are slow, so objects
are small and requests few.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess

import pytest
from node_support import group, until
from origin_support import Nginx, content, free_port
from tls_support import SslWire, TlsNode
from tls_tools_support import Interactive, s_client_command, url
from wire_support import NAME, ask, member

ENGINE = os.environ["NEARFIELD_GUEST_ENGINE"]
FLAGS = {"mbedtls": set(), "ipsec-mb (SSE)": {"aes", "pclmulqdq"}, "ipsec-mb (AVX2)": {"aes", "pclmulqdq", "avx2"}}[ENGINE]
LACKING = "warning this processor lacks AES-NI, PCLMULQDQ: TLS records are encrypted by mbedTLS, "
SONG = content(700_001)
TLS13_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
TLS12_SUITES = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305")


@pytest.fixture(scope="module")
def secure_origins(ca):
    """One for each suite of TLS 1.3: the host it has objects of, and where it is."""
    leaf = ca.issue("origin.example")
    with contextlib.ExitStack() as ending:
        made = {}
        for number, suite in enumerate(TLS13_SUITES):
            port = free_port()
            served = f"listen 127.0.0.1:{port} ssl; ssl_certificate {leaf.chain}; ssl_certificate_key {leaf.key}; ssl_conf_command Ciphersuites {suite};"
            ending.enter_context(contextlib.closing(Nginx(more=served))).put("/song", SONG)
            made[f"suite{number}.example"] = f"https://127.0.0.1:{port}"
        yield made


@pytest.fixture(scope="module")
def node(ca, leaf, origin, secure_origins):
    origin.put("/song", SONG)
    origin.put("/text", b"what is under the new keys\n" * 1000)
    trust = f'[origin.tls]\nca = "{ca.file}"\nserver_name = "origin.example"\n'
    groups = [group(at, name=host.partition(".")[0], hosts=f'"{host}"', more=trust) for host, at in secure_origins.items()]
    with TlsNode("".join([group(origin.url), *groups]), [leaf]) as started:
        yield started
        assert started.tls_counters()["records_refused"] == 0 and started.counters()["responses_broken"] == 0
        said = [line.partition(" ")[2] for line in started.log.read_text().splitlines()]
        # At the start, and again when the certificate was exchanged.
        assert [line[:len(LACKING)] for line in said if not line.startswith("info ")] == ([LACKING] * 2 if ENGINE == "mbedtls" else [])


def test_the_guest_is_what_it_is_meant_to_be():
    assert os.uname().release == os.environ["NEARFIELD_GUEST_KERNEL"]
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(re.search(r"^flags\s*: (.*)$", file.read(), re.MULTILINE)[1].split())
    assert flags & {"sse4_2", "aes", "pclmulqdq", "avx2", "avx512f", "vaes"} == FLAGS | {"sse4_2"}


def test_the_engine_fits_the_processor(node):
    assert node.tls()["engine"] == ENGINE


def test_every_suite_brings_every_byte(ca, node, tmp_path):
    """One curl with a connection for each version, suite and protocol: its start takes a second here."""
    wanted, command = [], ["curl", "-sS", "--fail-early"]
    for version, suites, option in (("1.3", TLS13_SUITES, "--tls13-ciphers"), ("1.2", TLS12_SUITES, "--ciphers")):
        for suite in suites:
            for protocol, closes in (("1.1", ["-H", "Connection: close"]), ("2", [])):
                kept = tmp_path / f"{suite}-{protocol}"
                wanted.append((kept, f"{kept.name} {protocol} 200 0"))
                command += ["--next"] * (len(wanted) > 1) + [
                    "--max-time", "60", "--cacert", str(ca.file), "--resolve", f"{NAME}:{node.tls_port}:127.0.0.1", f"--tlsv{version}", "--tls-max",
                    version, option, suite, f"--http{protocol}", *closes, "-o", str(kept), "-w",
                    f"{kept.name} %{{http_version}} %{{http_code}} %{{ssl_verify_result}}\\n", url(node.tls_port, "/song")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == ([line for _, line in wanted], "", 0)
    assert [kept.name for kept, _ in wanted if kept.read_bytes() != SONG] == []
    node.counted("handshakes_finished", len(wanted))


def test_every_suite_of_an_origin_brings_every_byte(node, secure_origins):
    """The node opens these, where it seals the others."""
    for host in secure_origins:
        response = ask(node.port, "/song", host=host)
        assert response.complete and response.body == SONG
        assert "hit" in member(ask(node.port, "/song", host=host)["Cache-Status"])


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_sessions_resume(ca, node, version):
    context = ca.context(version)
    with SslWire(node.tls_port, context) as wire:
        assert wire.ask("/song").body == SONG and not wire.resumed
        session = wire.socket.session
    with SslWire(node.tls_port, context, session=session) as wire:
        assert wire.ask("/song").body == SONG and wire.resumed


def test_keys_are_renewed(ca, node, tmp_path):
    """By KeyUpdates that ask for one of the node's."""
    before, messages = node.tls_counters()["key_updates_received"], tmp_path / "messages"
    with Interactive(*s_client_command(ca, node.tls_port, "-tls1_3", "-crlf", "-msg", "-msgfile", str(messages))) as client:
        client.says("read R BLOCK")
        for times in range(1, 3):
            client.types("K\n").says("KEYUPDATE\n", times)
            client.types(f"GET /text HTTP/1.1\nHost: {NAME}\n\n").says("what is under the new keys\n", 1000 * times)
        client.types("Q\n").ends()
        assert client.process.returncode == 0
    assert messages.read_text().count("<<< TLS 1.3, Handshake [length 0005], KeyUpdate") == 2
    node.counted("key_updates_received", before + 2)


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_many_connections(node, protocol):
    options = ["--h1"] if protocol == "http/1.1" else []
    done = subprocess.run(["h2load", *options, "-n", "100", "-c", "20", "-t", "1", "-m", "4", "--connect-to", f"127.0.0.1:{node.tls_port}",
                           "--sni", NAME, url(node.tls_port, "/text")], capture_output=True, text=True, timeout=60, check=False)
    assert "status codes: 100 2xx" in done.stdout and f"Application protocol: {protocol}" in done.stdout, done.stdout + done.stderr


def test_a_signal_brings_another_certificate(ca, leaf, node):
    context = ca.context()

    def serial() -> int:
        with SslWire(node.tls_port, context) as wire:
            return wire.serial

    with SslWire(node.tls_port, context) as earlier:
        ca.issue(NAME, to=leaf)
        assert serial() == earlier.serial
        node.process.send_signal(signal.SIGHUP)
        until(lambda: serial() != earlier.serial, "the new certificate is served")
        assert earlier.ask("/song").body == SONG, "connections stay as they are"


def test_the_kernel_ended_nobody(node):
    """Of an illegal instruction, say: only the kernel's log tells which."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    assert [line for line in said.splitlines() if re.search(r"traps:|segfault|invalid opcode|general protection|Oops|BUG:", line)] == []
    assert node.status()["state"] == "serving"
