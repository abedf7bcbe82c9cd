"""Lays out what the origin serves: the listening page, the players' libraries and the album.

    /index.html, /page.js, ...   the page (short-lived, it may change with the next version)
    /lib/hls.mjs, ...            the libraries from node_modules
    /album.json                  which album is on, and where
    /album/<key>/...             the album; <key> changes when a byte of it may, so it may be kept for a year
    /signed.json, /signed/...    the same once more, which the node gives to none but those with a token (signing.py)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from children import Children, ToolError

from . import signing

_PLAYER = Path(__file__).resolve().parent.parent / "player"
_LIBRARIES = {"hls.min.js": "hls.js/dist/hls.min.js", "shaka-player.js": "shaka-player/dist/shaka-player.compiled.js"}


class PlayersMissing(Exception):
    """The npm packages are not there and cannot be fetched."""


def ensure_node_modules(repository: Path, children: Children, say) -> Path:
    """Installs the packages of the lock file unless exactly they are there; returns the folder."""
    modules = repository / "node_modules"
    lock = json.loads((repository / "package-lock.json").read_text())["packages"]
    wanted = {name: entry["version"] for name, entry in lock.items() if name}
    try:
        there = json.loads((modules / ".package-lock.json").read_text())["packages"]
        if {name: entry["version"] for name, entry in there.items()} == wanted and all(
                (repository / name / "package.json").is_file() for name in wanted):
            return modules
    except (OSError, ValueError, KeyError):
        pass
    if not shutil.which("npm"):
        raise PlayersMissing("npm is not installed, and the players (hls.js, Shaka) are not in node_modules")
    say("fetching the players (hls.js, Shaka) with npm")
    try:
        children.run(["npm", "--prefix", str(repository), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], timeout_s=600)
    except ToolError as error:
        raise PlayersMissing(f"npm could not fetch the players; is the registry reachable?\n  {error}") from None
    return modules


def lay_out(folder: Path, album_folder: Path, album_key: str, modules: Path, signer: signing.Signer | None = None) -> Path:
    root = folder / "docroot"
    (root / "lib").mkdir(parents=True)
    (root / "album").mkdir()
    for file in _PLAYER.iterdir():
        if file.is_file():
            shutil.copy2(file, root / file.name)
    for name, source in _LIBRARIES.items():
        try:
            shutil.copy2(modules / source, root / "lib" / name)
        except FileNotFoundError:
            raise PlayersMissing(f"{modules / source} is missing: remove node_modules and run again") from None
    (root / "album" / album_key).symlink_to(album_folder.resolve())
    description = json.loads((album_folder / "album.json").read_text())
    description["base"] = f"album/{album_key}/"
    if signer:
        (root / signing.PREFIX).mkdir()
        (root / signing.PREFIX / album_key).symlink_to(album_folder.resolve())
        description["signed"] = True  # there is such a listing, too
        sign(root, album_folder, album_key, signer)
    (root / "album.json").write_text(json.dumps(description, ensure_ascii=False))
    return root


def sign(root: Path, album_folder: Path, album_key: str, signer: signing.Signer) -> None:
    """Writes the listing of the signed album with a new token. A music service does that for each listener who may listen; here it is everybody."""
    description = json.loads((album_folder / "album.json").read_text())
    description["base"] = signer.base(album_key)
    fresh = root / "signed.json.new"
    fresh.write_text(json.dumps(description, ensure_ascii=False))
    fresh.replace(root / "signed.json")
