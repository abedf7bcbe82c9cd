"""Keys and tokens for tests of who may listen, made by other implementations than the node's: jwcrypto for signed URIs, cbor2 and cryptography
for Common Access Tokens, MaxMind's own writer for territories."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwcrypto import jwk, jws
from node_support import REPOSITORY

# What listeners ask for: the tests' clients all say "Host: music.example".
ALBUMS = r"regex:http://music\.example/albums/.*"
CAT = {"iss": 1, "exp": 4, "nbf": 5, "iat": 6, "catu": 312, "catm": 313, "cath": 315}
_PATH, _PREFIX = 3, 1


def now() -> int:
    return int(time.time())


class Key:
    """EC P-256 for ES256, or a shared secret for HS256."""

    def __init__(self, kid: str, *, shared: bool = False):
        self.kid, self.shared = kid, shared
        self.algorithm = "HS256" if shared else "ES256"
        self._key = jwk.JWK.generate(kty="oct", size=256, kid=kid, alg="HS256") if shared else jwk.JWK.generate(kty="EC", crv="P-256", kid=kid, alg="ES256")

    def public(self) -> dict:
        return json.loads(self._key.export() if self.shared else self._key.export_public())

    def private(self) -> dict:
        return json.loads(self._key.export())

    def jwt(self, **claims: Any) -> str:
        """A signed URI's token (RFC 9246) for the albums, for an hour; a claim that is None is left out."""
        whole = {"exp": now() + 3600, "cdniuc": ALBUMS} | claims
        token = jws.JWS(json.dumps({name: value for name, value in whole.items() if value is not None}))
        token.add_signature(self._key, None, json.dumps({"alg": self.algorithm, "kid": self.kid}))
        return token.serialize(compact=True)

    def cat(self, path: str = "/albums/", **claims: Any) -> str:
        """A Common Access Token for what is below `path`, for an hour."""
        whole = {"exp": now() + 3600, "catu": {_PATH: {_PREFIX: path}}} | claims
        header = cbor2.dumps({1: 5 if self.shared else -7})
        payload = cbor2.dumps({CAT[name]: value for name, value in whole.items()})
        message = cbor2.dumps(["MAC0" if self.shared else "Signature1", header, b"", payload])
        signed = [header, {4: self.kid.encode()}, payload, self._sign(message)]
        return base64.urlsafe_b64encode(cbor2.dumps(cbor2.CBORTag(61, cbor2.CBORTag(17 if self.shared else 18, signed)))).decode().rstrip("=")

    def _sign(self, message: bytes) -> bytes:
        if self.shared:
            mac = hmac.HMAC(base64.urlsafe_b64decode(self.private()["k"] + "=="), hashes.SHA256())
            mac.update(message)
            return mac.finalize()
        key = self._key.get_op_key("sign")
        first, second = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")


def replace(path: Path, data: str) -> None:
    """As an operator should: a node that reads it sees the old file or the new one."""
    new = path.with_suffix(".new")
    new.write_text(data)
    os.replace(new, path)


def write_keys(path: Path, *keys: dict) -> None:
    replace(path, json.dumps({"keys": keys}))


def write_territories(path: Path, territory: str, *networks: str) -> None:
    """A MaxMind DB in which `networks` are in `territory`."""
    new = path.with_suffix(".new")
    subprocess.run(["perl", str(REPOSITORY / "tests/unit/dataplane/access/make_prefix_database.pl"), str(new), territory, *networks], check=True)
    os.replace(new, path)


def spoilt(token: str) -> str:
    """The token with one bit of its signature changed."""
    place = len(token) - 10
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1:]
