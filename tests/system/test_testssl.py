"""testssl.sh, which others wrote, looks at a node as an auditor would: nothing that it finds is worse than LOW, and each LOW is accounted for.

It asks nobody but the node: names are given to it, and it does not fetch what certificates point to.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from link_support import dialled
from node_support import group
from origin_support import content
from tls_support import TlsNode
from wire_support import NAME

# What any authority of the Web puts into a certificate; nobody goes there.
PUBLISHED = (x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier("http://crl.example/1.crl")], None, None, None)]),
             x509.AuthorityInformationAccess([
                 x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example/")),
                 x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/1.crt"))]))

# Side by side, as it waits more than it computes. Protocols, suites by category, forward secrecy and groups, whose order of suites counts,
# certificates and extensions, HTTP's header, known attacks; clients of the past and of today, strange and large ClientHellos.
PARTS = (("-p", "-s", "-f", "-P", "-S", "-h", "-U"), ("-c", "-g"))

# LOW, by its name: docs/tls.md says that there is no stapling.
ACCEPTED = {"OCSP_stapling"}
# Checks that it may fail to make: it ends its connection before the ticket is there. tests/system/test_tls.py proves resumption.
UNDECIDED = {"sessionresumption_ticket"}


@pytest.fixture(scope="module")
def findings(ca, origin, tmp_path_factory) -> dict[str, tuple[str, str]]:
    """Name: severity and text. Those of several certificates are one name each, as in "cert_trust <hostCert#2>"."""
    origin.put("/index.html", content(1000))
    leaves = [ca.issue(NAME, kind=kind, more=PUBLISHED) for kind in ("ecdsa", "rsa")]
    with TlsNode(group(origin.url), leaves, more='[https]\nhsts = "365d"') as node:

        def look(parts: tuple[str, ...]) -> list[dict]:
            told = tmp_path_factory.mktemp("testssl") / "told.json"
            done = subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", dialled(node.tls_port),
                                   "--add-ca", str(ca.file), "--jsonfile", str(told), *parts, f"{NAME}:{node.tls_port}"], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=500, check=False,
                                  env={**os.environ, "NO_ENGINE": "true", "TMPDIR": str(told.parent)})  # without GOST
            assert done.returncode == 0 and told.exists(), done.stdout + done.stderr
            return json.loads(told.read_text())

        with concurrent.futures.ThreadPoolExecutor(len(PARTS)) as pool:
            found = {each["id"]: (each["severity"], each["finding"]) for listed in pool.map(look, PARTS) for each in listed}
        counters = node.tls_counters()
    assert [counters[name] for name in ("handshakes_expired", "handshakes_refused_prefix", "handshakes_refused_queue")] == [0, 0, 0], counters
    return found


def test_nothing_is_worse_than_low(findings):
    bad = {name: what for name, what in findings.items() if what[0] not in ("OK", "INFO")
           and not (what[0] == "LOW" and name.split(" ")[0] in ACCEPTED) and not (what[0] == "WARN" and name in UNDECIDED)}
    assert bad == {}


def test_what_is_offered(findings):
    """As docs/tls.md says; and it really looked."""
    suites = {name.rsplit("_", 1)[1]: findings[name][1].split()[-1] for name in findings if name.startswith("cipher-tls1_")}
    assert suites == {
        "x1301": "TLS_AES_128_GCM_SHA256", "x1302": "TLS_AES_256_GCM_SHA384", "x1303": "TLS_CHACHA20_POLY1305_SHA256",
        "xc02b": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "xc02c": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "xc02f": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "xc030": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "xcca8": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "xcca9": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"}
    for name, text in {
            "SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered", "TLS1_2": "offered",
            "TLS1_3": "offered with final", "ALPN_HTTP2": "h2", "ALPN": "http/1.1", "FS_ECDHE_curves": "prime256v1 secp384r1 X25519",
            "cipher_order-tls1_2": "server -- server prioritizes ChaCha ciphers when preferred by clients", "sessionresumption_ID": "not supported",
            "cert_numbers": "2", "cert_chain_of_trust <hostCert#1>": "passed.", "cert_chain_of_trust <hostCert#2>": "passed.",
            "secure_renego": "supported", "secure_client_renego": "not vulnerable", "certificate_compression": "none", "clientAuth": "none",
            "HTTP_status_code": "200 OK ('/')"}.items():
        assert findings[name][1] == text, name
    assert findings["HSTS_time"][1].startswith("365 days")
    assert findings["overall_grade"] == ("OK", "A+")


def test_whom_it_suits(findings):
    """Whoever is younger than ten years connects, and has TLS 1.3 if it knows that."""
    clients = {name.removeprefix("clientsimulation-"): text for name, (_, text) in findings.items() if name.startswith("clientsimulation-")}
    refused = {name for name, text in clients.items() if text == "No connection"}
    assert refused == {"ie_8_win7", "java_7u25"}, clients
    assert sum(text.startswith("TLSv1.3") for text in clients.values()) > 20, clients
    assert all(text.startswith(("TLSv1.2 ECDHE-", "TLSv1.3 TLS_")) for name, text in clients.items() if name not in refused), clients
