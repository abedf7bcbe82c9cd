"""A certificate authority of this machine's own, and certificates by it, so that the node can speak https to browsers here.

The authority is made once and kept in the user's cache, its key readable by its owner only. Whoever trusts it trusts little: its certificate says
that it may name this machine, loopback addresses and the networks of links (link.py) and nothing else (RFC 5280 4.2.1.10), and that there are no
further authorities below it. A certificate for a node lives as long as its run's folder, and ends after the months that browsers accept.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fcntl
import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_LIFE = datetime.timedelta(days=3650)
_LEAF_LIFE = datetime.timedelta(days=90)
_LEAF_RENEWAL = datetime.timedelta(days=30)  # before its end; nodes begin to warn then
_CLOCK_LEEWAY = datetime.timedelta(hours=1)
_NETWORKS = [ipaddress.ip_network(one) for one in ("127.0.0.0/8", "::1/128", "198.19.0.0/16", "2001:2::/48")]


@dataclass(frozen=True)
class Leaf:
    certificate: Path  # PEM
    key: Path
    ends: datetime.datetime

    def is_near_its_end(self) -> bool:
        return _now() > self.ends - _LEAF_RENEWAL

    def key_digest(self) -> str:
        """Of the public key (SubjectPublicKeyInfo), as browsers are told to trust one: base64 of SHA-256."""
        public = x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_key()
        encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


class Authority:
    """Of a folder; made there when there is none that will do. Raises OSError."""

    def __init__(self, folder: Path):
        self.certificate_file = folder / "authority.crt"
        self._key_file = folder / "authority.key"
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):  # runs that start together agree on one
            found = self._read()
            self.is_new = found is None
            self._certificate, self._key = found or self._make()

    def issue(self, folder: Path, addresses: list[str]) -> Leaf:
        """A certificate for this machine's names and these addresses; an earlier one of the folder is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name) for name in _machine_names()]
        everywhere = dict.fromkeys(["127.0.0.1", "::1", *addresses])
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in everywhere]
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        ends = min(_now() + _LEAF_LIFE, self._certificate.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder().subject_name(_name(_machine_names()[-1])).issuer_name(self._certificate.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(_now() - _CLOCK_LEEWAY).not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(key_identifier, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256()))
        leaf = Leaf(folder / "node.crt", folder / "node.key", ends)
        _write(leaf.key, _pem(key), 0o600)
        _write(leaf.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return leaf

    def _read(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
            named = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
            return None
        fits = (named == _name_constraints() and key.public_key() == certificate.public_key()
                and certificate.not_valid_after_utc > _now() + 2 * _LEAF_LIFE)
        return (certificate, key) if fits else None

    def _make(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Nearfield on {_machine_names()[-1]}")
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(_now() - _CLOCK_LEEWAY).not_valid_after(_now() + _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(_name_constraints(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256()))
        _write(self._key_file, _pem(key), 0o600)
        _write(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return certificate, key


def how_to_trust(certificate: Path, url: str) -> str:
    return (f"https is for whoever trusts {certificate}, an authority for the names of this machine only:\n"
            f"      curl               curl --cacert {certificate} {url}\n"
            f"      Firefox, Chromium  settings, certificates, authorities: import the file, to identify websites\n"
            f"      Debian             cp {certificate} /usr/local/share/ca-certificates/nearfield.crt && update-ca-certificates")


def _machine_names() -> list[str]:
    """"localhost" and, when it is one that certificates can have, the machine's name."""
    name = socket.gethostname().lower()
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    return ["localhost", name] if name != "localhost" and len(name) <= 60 and re.fullmatch(rf"{label}(\.{label})*", name) else ["localhost"]


def _name_constraints() -> x509.NameConstraints:
    return x509.NameConstraints([*map(x509.DNSName, _machine_names()), *map(x509.IPAddress, _NETWORKS)], None)


def _key_usage(**uses: bool) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
             "encipher_only", "decipher_only")
    return x509.KeyUsage(**{use: uses.get(use, False) for use in every})


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by more than `mode` says."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    fresh.replace(path)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
