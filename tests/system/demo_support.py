"""What the tests of the album and of the players share: the demonstration's modules, and music short enough to wait for."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "image" / "demo"
sys.path.insert(0, str(DEMO))

from children import Children  # noqa: E402
from cmaf import album as albums  # noqa: E402
from cmaf import source  # noqa: E402
from music import pieces  # noqa: E402
from music.notes import Piece  # noqa: E402
from progress import Progress  # noqa: E402


def short_piece(beats: float = 12.0) -> Piece:
    """The first beats of the canon: 12 beats are 12 seconds, and the second violin has come in."""
    piece = pieces.canon()
    for part in piece.parts:
        part.notes = [note for note in part.notes if note.start + note.length <= beats]
    piece.parts = [part for part in piece.parts if part.notes]
    piece.ring_out_s = 1.0
    return piece


def write_tone(path: Path, children: Children, *, rate_hz: int, bits: int, seconds: float, channels: int = 2) -> Path:
    """A WAV (or FLAC, by the name) of sweeping tones and a little noise, the same on every run."""
    tones = "|".join(f"0.3*sin(2*PI*({220 + 110 * c}+40*t)*t)+0.02*(random({c})-0.5)" for c in range(channels))
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    codec = ["-c:a", f"pcm_s{bits}le"] if path.suffix == ".wav" else ["-c:a", "flac", "-sample_fmt", "s16" if bits == 16 else "s32"]
    children.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", f"aevalsrc={tones}:s={rate_hz}:c={layout}:d={seconds}",
                  *codec, str(path)])
    return path


def make_short_album(cache: Path, folder: Path, children: Children) -> albums.MadeAlbum:
    """One track of our own music, which is 24/96 and seated in a room, and one CD-quality file of a user."""
    folder.mkdir(parents=True, exist_ok=True)
    tone = write_tone(folder / "tone.wav", children, rate_hz=44_100, bits=16, seconds=9.7)
    tracks = [source.Track("Canon, opening", "Johann Pachelbel", short_piece(), None), source.Track("Tone", "nobody", None, tone)]
    made = albums.make(source.Album("Short", "Test", tracks, None, []), cache, children, Progress(open(os.devnull, "w")))
    assert made.description["skipped"] == []
    return made


def node_program() -> Path:
    """The node under test."""
    build = Path(os.environ.get("NEARFIELD_BUILD_DIR", REPOSITORY / "build" / "release"))
    return Path(os.environ.get("NEARFIELD_NODE", build / "dataplane" / "nearfield-dataplane"))


def boxes_of(data: bytes) -> list[tuple[str, bytes]]:
    """Top-level boxes, read independently of the code under test."""
    out, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at, (kind, size, at)
        out.append((kind.decode(), data[at + 8:at + size]))
        at += size
    return out


def descendant(data: bytes, *path: str) -> bytes:
    for name in path:
        data = next(payload for kind, payload in boxes_of(data) if kind == name)
    return data
