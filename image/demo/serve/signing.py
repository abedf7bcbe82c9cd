"""The music service's part in signed addresses (RFC 9246): a key that is made anew for each run, and tokens by it that let whoever has one
fetch the signed album for a while. The node knows the public half of the key only.

A token stands in the path, `/signed;URISigningPackage=TOKEN/...`, so that players make the addresses of playlists and segments from relative ones
as ever, and each has the token in it: neither the players nor the manifests know of any of this.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from jwcrypto import jwk, jws

ATTRIBUTE = "URISigningPackage"
ISSUER = "nearfield-demo"
PREFIX = "signed"
LIFE_S = 3600
RENEWAL_S = 600  # how often the listing of the signed album gets a new token

_KEY_ID = "demo-1"


class Signer:
    def __init__(self) -> None:
        self._key = jwk.JWK.generate(kty="EC", crv="P-256", kid=_KEY_ID, alg="ES256", use="sig")

    def write_public_keys(self, file: Path) -> Path:
        """As a JWK Set (RFC 7517)."""
        file.write_text(json.dumps({"keys": [self._key.export_public(as_dict=True)]}))
        return file

    def token(self, album_key: str, life_s: float = LIFE_S) -> str:
        """For everything of this album, whatever name or port the node is reached by."""
        now = int(time.time())
        claims = {"cdniv": 1, "iss": ISSUER, "iat": now, "exp": int(now + life_s),
                  "cdniuc": f"regex:https?://[^/]+/{PREFIX}/{album_key}/[A-Za-z0-9./_-]+"}
        made = jws.JWS(json.dumps(claims))
        made.add_signature(self._key, protected=json.dumps({"alg": "ES256", "kid": _KEY_ID, "typ": "JWT"}))
        return made.serialize(compact=True)

    def base(self, album_key: str) -> str:
        """What the addresses of the signed album begin with."""
        return f"{PREFIX};{ATTRIBUTE}={self.token(album_key)}/{album_key}/"


def without_token(path: str) -> str:
    """The path that a signed one is for."""
    return "/".join(segment.split(f";{ATTRIBUTE}=")[0] for segment in path.split("/"))
