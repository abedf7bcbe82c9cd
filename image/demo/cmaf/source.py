"""Where the album's PCM comes from: our own pieces, or a folder of the user's FLAC and WAV files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from children import Children, ToolError
from music import pieces
from music.notes import Piece
from music.render import ffmpeg, render

from .encode import Source, probe_pcm

_AUDIO = {".flac", ".wav", ".wave"}
_COVERS = ("cover.jpg", "cover.png", "cover.jpeg", "folder.jpg", "folder.png", "front.jpg", "front.png")


class SourceError(Exception):
    """Nothing playable was given; the message says what to do."""


@dataclass(frozen=True)
class Track:
    title: str
    artist: str
    piece: Piece | None  # one of ours
    file: Path | None  # or one of the user's


@dataclass(frozen=True)
class Album:
    title: str
    artist: str
    tracks: list[Track]
    cover: Path | None
    skipped: list[str]  # what was left out and why, one line each


def own_album() -> Album:
    tracks = [Track(piece.title, piece.composer, piece, None) for piece in pieces.album()]
    return Album("Music for a Near Room", "Bach, Pachelbel, Petzold, Beethoven", tracks, None, [])


def album_of(folder: Path, children: Children) -> Album:
    """Reads names and tags; a file that cannot be decoded is left out and named in `skipped`."""
    if not folder.is_dir():
        raise SourceError(f"--album {folder}: no such folder")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _AUDIO and path.is_file())[:200]
    if not files:
        raise SourceError(f"--album {folder}: holds no .flac or .wav file")
    found, skipped = [], []
    for path in files:
        try:
            found.append((*_tags(path, children), path))
        except (ToolError, KeyError, ValueError, IndexError) as error:
            skipped.append(f"{path.name}: not readable as music ({_first_line(error)})")
    if not found:
        raise SourceError(f"--album {folder}: none of its {len(files)} files can be decoded; first: {skipped[0]}")
    found.sort(key=lambda entry: (str(entry[4].parent), entry[0], entry[4].name))
    albums, artists = {entry[3] for entry in found if entry[3]}, {entry[2] for entry in found if entry[2]}
    title = albums.pop() if len(albums) == 1 else folder.resolve().name
    artist = artists.pop() if len(artists) == 1 else "various artists" if artists else "unknown artist"
    tracks = [Track(title_ or path.stem, artist_ or artist, None, path) for _, title_, artist_, _, path in found]
    by_name = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True)}
    cover = next((by_name[name] for name in _COVERS if name in by_name), None)
    return Album(title, artist, tracks, cover, skipped)


def make_source(track: Track, sound_font: Path | None, work: Path, children: Children) -> Source:
    if track.piece:
        masters = render(track.piece, sound_font, work, children)
        rate, depth, channels, samples = probe_pcm(masters.stereo, children)
        return Source(masters.stereo, rate, depth, channels, samples, masters)
    wav = work / "source.wav"
    depth = _depth(track.file, children)
    try:
        children.run(ffmpeg("-xerror", "-err_detect", "explode", "-i", str(track.file), "-map", "0:a:0", "-map_metadata", "-1",
                            "-rf64", "auto", "-c:a", f"pcm_s{depth}le", str(wav)))
    except ToolError as error:
        raise SourceError(f"{track.file.name}: broken file, it stops decoding ({_first_line(error)})") from None
    rate, depth, channels, samples = probe_pcm(wav, children)
    if samples < rate // 10:
        raise SourceError(f"{track.file.name}: shorter than a tenth of a second")
    return Source(wav, rate, depth, channels, samples, None)


def _probe(path: Path, children: Children) -> dict:
    said = children.run(["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries",
                         "stream=sample_rate,sample_fmt,bits_per_raw_sample,bits_per_sample,channels:stream_tags:format_tags",
                         "-of", "json", str(path)])
    return json.loads(said.stdout)


def _depth(path: Path, children: Children) -> int:
    stream = _probe(path, children)["streams"][0]
    bits = int(stream.get("bits_per_raw_sample") or 0) or int(stream.get("bits_per_sample") or 0) or 24
    return 16 if bits <= 16 else 24


def _tags(path: Path, children: Children) -> tuple[tuple[int, int], str, str, str]:
    """Returns (disc, track), title, artist, album; raises when there is no audio in it."""
    probe = _probe(path, children)
    stream = probe["streams"][0]
    if int(stream["sample_rate"]) == 0 or int(stream["channels"]) == 0:
        raise ValueError("there is no sound in it")
    if int(stream["sample_rate"]) < 8000 or not 1 <= int(stream["channels"]) <= 8:
        raise ValueError(f"{stream['sample_rate']} Hz with {stream['channels']} channels")
    tags = {key.lower(): value for source in (stream.get("tags", {}), probe.get("format", {}).get("tags", {}))
            for key, value in source.items()}

    def number(name: str) -> int:
        digits = tags.get(name, "").partition("/")[0].strip()
        return int(digits) if digits.isdigit() else 0

    return (number("disc"), number("track")), tags.get("title", ""), tags.get("artist", ""), tags.get("album", "")


def _first_line(error: Exception) -> str:
    lines = [re.sub(r"^\[\w+ @ 0x[0-9a-f]+\] ", "", line.strip()) for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__
