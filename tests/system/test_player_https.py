"""The main job over https: its own authority, the certificates by it, and a browser that plays the album over HTTP/2."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import ipaddress
import os
import re
import signal
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from demo_support import Children
from run_support import SecureAlbum, album_folder, descendants, gone, place, program, read_until, run, served_securely  # noqa: F401

from serve import authority, player_check

CASES = [player_check.Case("hls", 0, "flac-24-96", 4.6), player_check.Case("shaka", 0, "iamf-5.1", 1.5)]


def test_a_browser_plays_over_http2(served_securely):
    children = Children()
    try:
        for _ in range(2):  # a machine that is busy elsewhere may make the first late
            outcomes = player_check.run(served_securely.url, served_securely.root, CASES, children, trusted=served_securely.identity.leaf, timeout_s=120)
            if not any(outcome.faults for outcome in outcomes):
                break
    finally:
        children.stop_all()
    for outcome in outcomes:
        assert outcome.faults == [] and outcome.protocols == ["h2"], outcome.line()
        assert outcome.bytes_received > 50_000


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_clients_that_trust_the_authority_are_content(served_securely, host):
    connection = http.client.HTTPSConnection(host, served_securely.port, context=served_securely.context(), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/album.json")
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read() == (served_securely.root / "album.json").read_bytes()


def test_clients_that_do_not_trust_it_are_not(served_securely):
    connection = http.client.HTTPSConnection("localhost", served_securely.port, context=ssl.create_default_context(), timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")


def serial_of(served: SecureAlbum) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", served.port), timeout=5)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_new_certificate_takes_over_without_a_dropped_connection(served_securely):
    with contextlib.closing(http.client.HTTPSConnection("localhost", served_securely.port, context=served_securely.context(), timeout=10)) as connection:
        connection.connect()
        kept = connection.sock
        before = serial_of(served_securely)
        served_securely.identity.renew()
        served_securely.node.reload()
        deadline = time.monotonic() + 10
        while serial_of(served_securely) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        connection.request("GET", "/album.json")
        assert connection.getresponse().read() and connection.sock is kept


# --- the authority ---------------------------------------------------------------------------------------------------------


def test_the_authority_is_made_once_and_its_key_is_its_owners(tmp_path):
    first, second = authority.Authority(tmp_path / "a"), authority.Authority(tmp_path / "a")
    assert first.is_new and not second.is_new
    assert first.certificate_file == second.certificate_file
    for key in (tmp_path / "a/authority.key", second.issue(tmp_path / "leaf", []).key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    (tmp_path / "a/authority.key").write_text("spoilt")
    third = authority.Authority(tmp_path / "a")
    assert third.is_new
    assert fault_of(third, third.issue(tmp_path / "leaf", []).certificate, "-verify_hostname", "localhost") == ""


def fault_of(whose: authority.Authority, certificate: Path, *names: str) -> str:
    """What a strict client that trusts the authority has against a certificate."""
    said = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", whose.certificate_file, *names, certificate],
                          capture_output=True, text=True, timeout=10)
    return "" if said.returncode == 0 else said.stderr


def test_certificates_are_for_the_names_and_addresses_that_are_shown(tmp_path):
    whose = authority.Authority(tmp_path / "a")
    leaf = whose.issue(tmp_path / "leaf", ["198.19.3.10", "2001:2:0:3::10"])
    for name in authority._machine_names():
        assert fault_of(whose, leaf.certificate, "-verify_hostname", name) == ""
    for address in ("127.0.0.1", "::1", "198.19.3.10", "2001:2:0:3::10"):
        assert fault_of(whose, leaf.certificate, "-verify_ip", address) == ""
    names = x509.load_pem_x509_certificate(leaf.certificate.read_bytes()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.IPAddress)) == {ipaddress.ip_address(one) for one in ("127.0.0.1", "::1", "198.19.3.10", "2001:2:0:3::10")}


def test_whoever_trusts_the_authority_trusts_it_for_nothing_else(tmp_path, monkeypatch):
    whose = authority.Authority(tmp_path / "a")
    constraints = x509.load_pem_x509_certificate(whose.certificate_file.read_bytes()).extensions
    assert constraints.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert constraints.get_extension_for_class(x509.NameConstraints).critical
    stranger = whose.issue(tmp_path / "address", ["192.0.2.1"])
    assert "permitted subtree violation" in fault_of(whose, stranger.certificate)
    monkeypatch.setattr(authority, "_machine_names", lambda: ["localhost", "bank.example"])
    stranger = whose.issue(tmp_path / "name", [])
    assert "permitted subtree violation" in fault_of(whose, stranger.certificate)


def test_a_machine_with_another_name_gets_another_authority(tmp_path, monkeypatch):
    first = authority.Authority(tmp_path / "a")
    certificate = first.certificate_file.read_bytes()
    monkeypatch.setattr(authority, "_machine_names", lambda: ["localhost", "renamed.example"])
    second = authority.Authority(tmp_path / "a")
    assert second.is_new and second.certificate_file.read_bytes() != certificate
    assert fault_of(second, second.issue(tmp_path / "leaf", []).certificate, "-verify_hostname", "renamed.example") == ""


def test_certificates_are_renewed_in_time(tmp_path, monkeypatch):
    whose = authority.Authority(tmp_path / "a")
    leaf = whose.issue(tmp_path / "leaf", [])
    assert not leaf.is_near_its_end()
    now = authority._now()
    for days, near in ((59, False), (61, True)):
        monkeypatch.setattr(authority, "_now", lambda days=days: now + datetime.timedelta(days=days))
        assert leaf.is_near_its_end() == near
    monkeypatch.setattr(authority, "_now", lambda: now + datetime.timedelta(days=3650 - 100))
    assert authority.Authority(tmp_path / "a").is_new  # one that would not outlive its certificates


@pytest.mark.parametrize(("name", "known"), [("box", ["localhost", "box"]), ("Box.Home", ["localhost", "box.home"]), ("localhost", ["localhost"]),
                                             ("bad_name", ["localhost"]), ("x" * 64, ["localhost"]), ("", ["localhost"])])
def test_a_name_that_no_certificate_can_have_is_left_out(monkeypatch, tmp_path, name, known):
    monkeypatch.setattr(authority.socket, "gethostname", lambda: name)
    assert authority._machine_names() == known
    whose = authority.Authority(tmp_path / "a")
    certificate = x509.load_pem_x509_certificate(whose.issue(tmp_path / "leaf", []).certificate.read_bytes())
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == known[-1]


# --- ./dev run as a program ------------------------------------------------------------------------------------------------


def test_run_tells_the_address_and_how_to_trust_it(run, album_folder):
    process = run("--no-player-check")
    said = read_until(process, "update-ca-certificates")
    address = re.search(r"or: +(https://localhost:\d+/)", said)[1]
    file = re.search(r"curl --cacert (\S+) ", said)[1]
    assert Path(file).is_relative_to(album_folder.parent / "kept")
    for protocol in ("--http1.1", "--http2"):
        done = subprocess.run(["curl", "-sS", "--noproxy", "*", protocol, "--cacert", file, "-w", "%{http_version}", "-o", os.devnull, address],
                              capture_output=True, text=True, timeout=10)
        assert done.returncode == 0 and done.stdout == protocol.removeprefix("--http"), done
    belongings = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0 and gone(belongings)


def test_run_plays_over_http2(run):
    said, _ = run("--once").communicate(timeout=120)
    assert len(re.findall(r"player check: .*over h2\) equal to the origin's", said)) == 3, said


def test_run_without_https_makes_no_authority(run, place):
    process = run("--no-player-check", "--no-https", env={"NEARFIELD_CACHE": str(place / "kept")})
    said = read_until(process, r"^node: .* requests")
    assert "https" not in said and not (place / "kept" / "authority").exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_options_that_do_not_go_together_are_named(run):
    for arguments, complaint in ((("--no-https", "--https-port", "8443"), "which --no-https leaves out"),
                                 (("--port", "8443", "--https-port", "8443"), "want one each")):
        said, _ = run(*arguments).communicate(timeout=60)
        assert complaint in said and "Traceback" not in said, said
