"""Makes the album once and keeps it: a folder in the user's cache named after a hash of everything that went in.

The folder is built under another name and renamed when complete, so an interrupted run leaves nothing half-made. Two
runs at the same time build twice and keep one. Whoever serves an album holds a lock on it, and only albums that nobody
holds are removed to make room.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from children import Children, Stopped, ToolError
from music import cover, render
from progress import Progress

from . import manifests
from .encode import package
from .source import Album, SourceError, Track, make_source

_KEPT_ALBUMS = 4
_LOCK = ".lock"
_WORK_BYTES = 1_200_000_000  # room for the masters and stems of two tracks being made at once


@dataclass
class MadeAlbum:
    folder: Path
    key: str
    description: dict  # what album.json says
    _lock: int  # descriptor of the shared lock, held for the life of the process


def make(album: Album, cache: Path, children: Children, progress: Progress) -> MadeAlbum:
    """Returns the album from the cache, or makes it there. Raises SourceError, ToolError, OSError, Stopped."""
    sound_font = render.find_sound_font()
    if any(track.piece for track in album.tracks):
        if not shutil.which("fluidsynth"):
            raise SourceError("fluidsynth is not installed: install the package fluidsynth, or give your own music with --album DIR")
        if not sound_font:
            raise SourceError("no sound font found: install the package fluid-soundfont-gm, or give your own music with --album DIR")
    if not shutil.which("ffmpeg"):
        raise SourceError("ffmpeg is not installed: install the package ffmpeg")
    cache.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(cache)
    key = _key(album, sound_font)
    ready = _open(cache / key, key)
    if ready:
        progress.note(f"album: {album.title} (made before, {cache / key})")
        return ready
    if shutil.disk_usage(cache).free < _WORK_BYTES:
        raise SourceError(f"{cache}: less than {_WORK_BYTES / 1e9:.1f} GB free, which making the album needs;"
                          " free some, or name another folder with --cache DIR")
    building = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    lock = _hold(building, fcntl.LOCK_EX)
    try:
        _build(album, key, sound_font, building, children, progress)
        try:
            os.rename(building, cache / key)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(building)  # another run was faster and made the same
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SourceError(f"{cache}: disk full while the album was made; free some room or use --cache DIR") from None
        raise
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    _make_room(cache, keep=key)
    made = _open(cache / key, key)
    if not made:
        raise SourceError(f"{cache / key}: vanished right after it was made")
    return made


def _build(album: Album, key: str, sound_font: Path | None, folder: Path, children: Children, progress: Progress) -> None:
    steps = _Steps(len(album.tracks), progress)
    described: dict[int, dict] = {}
    skipped = list(album.skipped)
    with ThreadPoolExecutor(max_workers=max(1, min(4, os.cpu_count() or 1))) as pool:
        jobs = {pool.submit(_build_track, track, number, sound_font, folder, children, steps): (number, track)
                for number, track in enumerate(album.tracks, 1)}
        try:
            for job in as_completed(jobs):
                number, track = jobs[job]
                try:
                    described[number] = job.result()
                    steps.done(track.title)
                except (SourceError, ToolError) as error:
                    if "No space left on device" in str(error):
                        raise OSError(errno.ENOSPC, "no space left") from error
                    if track.piece:
                        raise
                    skipped.append(str(error).replace("\n", " "))
                    shutil.rmtree(folder / f"{number:02d}", ignore_errors=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop_tools()
            raise
    if not described:
        raise SourceError("no track of the album could be made:\n    " + "\n    ".join(skipped))
    if album.cover:
        cover_name = "cover" + album.cover.suffix.lower()
        shutil.copyfile(album.cover, folder / cover_name)
    else:
        cover_name = "cover.svg"
        (folder / cover_name).write_text(cover.draw(album.title, album.artist))
    description = {"key": key, "title": album.title, "artist": album.artist, "cover": cover_name,
                   "tracks": [described[number] for number in sorted(described)], "skipped": skipped}
    (folder / "album.json").write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def _build_track(track: Track, number: int, sound_font: Path | None, folder: Path, children: Children, steps: _Steps) -> dict:
    work = folder / f"work-{number:02d}"
    work.mkdir()
    place = folder / f"{number:02d}"
    try:
        steps.say(track.title, "rendering" if track.piece else "decoding")
        source = make_source(track, sound_font, work, children)
        renditions = package(source, place, work, children, lambda label: steps.say(track.title, label))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    duration = Fraction(source.samples, source.sample_rate_hz)
    for rendition in renditions:
        (place / rendition.name / "media.m3u8").write_text(manifests.media_playlist(rendition))
    (place / "master.m3u8").write_text(manifests.multivariant_playlist(renditions))
    (place / "manifest.mpd").write_text(manifests.mpd(track.title, duration, renditions))
    return {"number": number, "title": track.title, "artist": track.artist, "duration_s": round(float(duration), 6),
            "hls": f"{place.name}/master.m3u8", "dash": f"{place.name}/manifest.mpd",
            "renditions": [{"name": one.name, "label": one.label, "codecs": one.codecs, "channels": one.channels,
                            "sample_rate_hz": one.sample_rate_hz, "bit_depth": one.bit_depth, "segments": len(one.sizes),
                            "bytes": sum(one.sizes), "average_bits": one.average_bits()} for one in renditions]}


class _Steps:
    """Counts what is done over all tracks; called from the threads that make them."""

    def __init__(self, tracks: int, progress: Progress):
        self._tracks, self._progress = tracks, progress
        self._lock = threading.Lock()
        self._now: dict[str, str] = {}
        self._done = 0

    def say(self, title: str, step: str) -> None:
        with self._lock:
            self._now[title] = step
            doing = " · ".join(f"{name}: {what}" for name, what in self._now.items())
            self._progress.live(f"making the album, {self._done} of {self._tracks} tracks done · {doing}")

    def done(self, title: str) -> None:
        with self._lock:
            self._now.pop(title, None)
            self._done += 1
            self._progress.note(f"album: {title} is made and verified ({self._done} of {self._tracks})")


def _key(album: Album, sound_font: Path | None) -> str:
    """Our code, the tools' files and the inputs; a user's files count by name, size and time, not by their bytes."""
    digest = hashlib.sha256()
    demo = Path(__file__).resolve().parent.parent
    for path in sorted([*(demo / "music").glob("*.py"), *(demo / "cmaf").glob("*.py")]):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    for tool in ("ffmpeg", "fluidsynth"):
        found = shutil.which(tool)
        digest.update(f"{tool} {os.stat(found).st_size if found else 0}\n".encode())
    if any(track.piece for track in album.tracks) and sound_font:
        digest.update(f"{sound_font.name} {sound_font.stat().st_size}\n".encode())
    digest.update(f"{album.title}\n{album.artist}\n".encode())
    for file in [track.file for track in album.tracks] + [album.cover]:
        if file:
            stat = file.stat()
            digest.update(f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for track in album.tracks:
        digest.update(f"{track.title}\n{track.artist}\n".encode())
    return digest.hexdigest()[:16]


def _open(folder: Path, key: str) -> MadeAlbum | None:
    try:
        lock = _hold(folder, fcntl.LOCK_SH)
    except OSError:
        return None
    try:
        description = json.loads((folder / "album.json").read_text())
        os.utime(folder)  # the least recently used goes first
        return MadeAlbum(folder, key, description, lock)
    except (OSError, ValueError):
        os.close(lock)
        return None


def _hold(folder: Path, how: int) -> int:
    """Locks an album; raises OSError (BlockingIOError when others hold it)."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_if_free(folder: Path) -> None:
    try:
        lock = _hold(folder, fcntl.LOCK_EX)
    except OSError:
        return
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _remove_leftovers(cache: Path) -> None:
    """What a killed run had begun; a run that is alive holds its lock."""
    for folder in cache.glob("making-*"):
        if folder.is_dir() and (folder / _LOCK).exists():
            _remove_if_free(folder)


def _make_room(cache: Path, keep: str) -> None:
    albums = sorted((path for path in cache.iterdir() if path.is_dir() and path.name != keep and not path.name.startswith("making-")),
                    key=lambda path: path.stat().st_mtime, reverse=True)
    for old in albums[_KEPT_ALBUMS - 1:]:
        if (old / "album.json").is_file():
            _remove_if_free(old)


def description_of(root: Path) -> dict:
    """What album.json in a document root says."""
    return json.loads((root / "album.json").read_text())
