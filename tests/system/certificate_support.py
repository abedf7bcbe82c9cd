"""Certificates of an authority of a test's own."""

from __future__ import annotations

import datetime
import functools
import itertools
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BOTH_SIDES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only")


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in uses for each in _USES})


@dataclass(frozen=True)
class Leaf:
    chain: Path
    key: Path

    @property
    def public_key_digest(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo, by which Chromium and pins name it."""
        key = x509.load_pem_x509_certificate(self.chain.read_bytes()).public_key()
        digest = hashes.Hash(hashes.SHA256())
        digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        return digest.finalize()


class Authority:
    """Issues certificates into `folder`; clients trust `file`."""

    def __init__(self, folder: Path, name: str = "Nearfield test authority"):
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (self._begun(self._name, self._key.public_key(), 365)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True).sign(self._key, hashes.SHA256()))
        self.file = folder / "ca.pem"
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _begun(self, subject: x509.Name, key, days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=30)).not_valid_after(now + datetime.timedelta(days=days))
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False))

    def issue(self, *names: str, kind: str = "ecdsa", days: float = 90, to: Leaf | None = None, more: tuple[x509.ExtensionType, ...] = (),
              uses: tuple[x509.ObjectIdentifier, ...] = BOTH_SIDES, is_named: bool = True) -> Leaf:
        """For DNS names, since a month ago; `kind` is ecdsa (P-256) or rsa (2048 bits). `to`: in the place of another. `more` extensions are
        not critical. Without `is_named` the first name stands in the subject alone."""
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        begun = functools.reduce(lambda made, each: made.add_extension(each, critical=False), more, self._begun(subject, key.public_key(), days))
        if is_named:
            begun = begun.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        made = (begun.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_usage("digital_signature"), critical=True)
                .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
                .sign(self._key, hashes.SHA256()))
        if to is None:
            number = next(self._numbers)
            to = Leaf(self._folder / f"{number}.pem", self._folder / f"{number}.key")
        to.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        with open(to.key, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return to

    def context(self, version: str = "1.3") -> ssl.SSLContext:
        """Of a client of Python's that trusts this authority, for one version of TLS."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.minimum_version = context.maximum_version = VERSIONS[version]
        return context
