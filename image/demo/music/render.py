"""Turns a piece into PCM: fluidsynth renders each part alone, ffmpeg seats the parts in a room.

Two masters come out, both cut to the same sample: stereo at 96 kHz and 24 bit, and 5.1 at 48 kHz in which each part
stands where its seat says. Both are scaled by what was measured: one loudness for all pieces, peaks below full scale.
"""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from children import Children, ToolError

from . import midi
from .notes import Part, Piece

MASTER_RATE_HZ = 96_000
SPATIAL_RATE_HZ = 48_000
_PEAK_DBFS = -1.0
_LOUDNESS_LUFS = -16.0  # every piece, so that an album needs no hand on the volume
_SOUND_FONTS = ("FluidR3_GM.sf2", "default-GM.sf2", "TimGM6mb.sf2", "default-GM.sf3", "MuseScore_General.sf3")
_SOUND_FONT_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts")
# ITU-R BS.775 places, degrees from the front; ffmpeg's names for the channels of "5.1"
_SPEAKERS = (("BL", -110.0), ("FL", -30.0), ("FC", 0.0), ("FR", 30.0), ("BR", 110.0))


@dataclass(frozen=True)
class Masters:
    stereo: Path
    surround: Path
    stereo_loudness_lufs: float  # of the 5.1 mix folded to stereo, which its metadata must state
    surround_loudness_lufs: float


def find_sound_font() -> Path | None:
    for folder in _SOUND_FONT_FOLDERS:
        for name in _SOUND_FONTS:
            path = Path(folder, name)
            if path.is_file() and path.stat().st_size > 1_000_000:
                return path
    return None


def render(piece: Piece, sound_font: Path, folder: Path, children: Children) -> Masters:
    """Renders into `folder`, whose stems are removed again; blocks for some seconds."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        stems = list(pool.map(lambda item: _render_part(*item, piece, sound_font, folder, children),
                              enumerate(piece.parts)))
    samples = round(piece.duration_s() * MASTER_RATE_HZ)
    stereo = _mix(stems, [stereo_pan(part) for part in piece.parts], "stereo", "", MASTER_RATE_HZ, samples,
                  folder / "stereo.wav", children)
    surround = _mix(stems, [surround_pan(part) for part in piece.parts], "5.1",
                    # What is sent to the low-frequency channel is kept below 120 Hz.
                    "lowpass=f=120:c=LFE,", SPATIAL_RATE_HZ, samples * SPATIAL_RATE_HZ // MASTER_RATE_HZ,
                    folder / "surround.wav", children)
    for stem in stems:
        stem.unlink()
    folded = measure(surround, children, "aformat=channel_layouts=stereo,")[0]
    return Masters(stereo, surround, folded, measure(surround, children)[0])


def stereo_pan(part: Part) -> str:
    """The ffmpeg pan expression that seats a stereo stem between two speakers; behind folds onto the front."""
    gains = []
    for side in (-1, 1):
        azimuth = part.azimuth + side * part.width
        place = max(-1.0, min(1.0, math.sin(math.radians(azimuth)) * 1.1))  # -1 left .. 1 right
        angle = (place + 1) * math.pi / 4
        gains.append((math.cos(angle), math.sin(angle)))
    level = _level(part)
    return "pan=stereo" + "".join(f"|{name}={level * gains[0][i]:.4f}*c0+{level * gains[1][i]:.4f}*c1"
                                  for i, name in enumerate(("FL", "FR")))


def surround_pan(part: Part) -> str:
    """Pairwise constant-power panning of both sides of a stereo stem over the five speakers, and the low send."""
    sides = [_speaker_gains(part.azimuth - part.width), _speaker_gains(part.azimuth + part.width)]
    level = _level(part)
    terms = [f"{name}={level * sides[0].get(name, 0):.4f}*c0+{level * sides[1].get(name, 0):.4f}*c1"
             for name in ("FL", "FR", "FC")]
    terms.append(f"LFE={level * part.low_send * 0.5:.4f}*c0+{level * part.low_send * 0.5:.4f}*c1")
    # A little of everything comes back from behind, as in a room.
    terms += [f"{name}={level * (sides[0].get(name, 0) + room[0]):.4f}*c0+{level * (sides[1].get(name, 0) + room[1]):.4f}*c1"
              for name, room in (("BL", (0.12, 0.04)), ("BR", (0.04, 0.12)))]
    return "pan=5.1|" + "|".join(terms)


def _level(part: Part) -> float:
    return 10 ** (part.gain_db / 20) * 0.5


def _speaker_gains(azimuth: float) -> dict[str, float]:
    azimuth = (azimuth + 180) % 360 - 180
    for index, (name, place) in enumerate(_SPEAKERS):
        after, after_place = _SPEAKERS[(index + 1) % len(_SPEAKERS)]
        span = (after_place - place) % 360
        offset = (azimuth - place) % 360
        if offset <= span:
            angle = offset / span * math.pi / 2
            return {name: math.cos(angle), after: math.sin(angle)}
    raise AssertionError("the speakers close the circle")


def _render_part(index: int, part: Part, piece: Piece, sound_font: Path, folder: Path, children: Children) -> Path:
    score, wav = folder / f"part{index}.mid", folder / f"part{index}.wav"
    midi.write_part(score, piece, part)
    children.run(["fluidsynth", "--no-shell", "--no-midi-in", "--quiet", "--sample-rate", str(MASTER_RATE_HZ),
                  "--gain", "0.6", "--reverb", "yes", "--chorus", "no", "-o", "synth.reverb.room-size=0.6",
                  "-o", "synth.reverb.level=0.5", "-o", "synth.polyphony=256",
                  "--audio-file-type", "wav", "--audio-file-format", "s24", "--fast-render", str(wav),
                  str(sound_font), str(score)])
    score.unlink()
    if not wav.is_file() or wav.stat().st_size < 1000:
        raise ToolError(f"fluidsynth wrote no sound for {part.name} of {piece.title}")
    return wav


def _mix(stems: list[Path], pans: list[str], layout: str, after: str, rate_hz: int, samples: int, out: Path,
         children: Children) -> Path:
    loud = out.with_suffix(".float.wav")
    inputs = [argument for stem in stems for argument in ("-i", str(stem))]
    graph = "".join(f"[{i}:a]{pan}[p{i}];" for i, pan in enumerate(pans))
    graph += "".join(f"[p{i}]" for i in range(len(pans)))
    graph += (f"amix=inputs={len(pans)}:normalize=0:duration=longest,{after}aresample={rate_hz}:resampler=soxr,"
              f"apad=whole_len={samples},atrim=end_sample={samples}[out]")
    children.run(ffmpeg(*inputs, "-filter_complex", graph, "-map", "[out]", "-c:a", "pcm_f32le", str(loud)))
    loudness_lufs, peak_dbfs = measure(loud, children)
    gain_db = min(_LOUDNESS_LUFS - loudness_lufs, _PEAK_DBFS - peak_dbfs)
    children.run(ffmpeg("-i", str(loud), "-af", f"volume={gain_db:.3f}dB:precision=double", "-c:a", "pcm_s24le", str(out)))
    loud.unlink()
    return out


def ffmpeg(*arguments: str) -> list[str]:
    return ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-bitexact", *arguments]


def measure(path: Path, children: Children, before: str = "") -> tuple[float, float]:
    """Returns the integrated loudness in LUFS (EBU R 128) and the sample peak in dBFS."""
    said = children.run(["ffmpeg", "-nostdin", "-hide_banner", "-v", "info", "-i", str(path), "-af",
                         f"{before}ebur128=peak=sample:framelog=quiet", "-f", "null", "-"]).stderr.decode(errors="replace")
    summary = said[said.rfind("Summary:"):]
    loudness = re.search(r"I:\s+(-?[\d.]+|-inf|nan) LUFS", summary)
    peak = re.search(r"Peak:\s+(-?[\d.]+|-inf) dBFS", summary)
    if not loudness or not peak:
        raise ToolError(f"ffmpeg's loudness summary of {path.name} has a form this program does not know")
    values = [float(match.group(1)) for match in (loudness, peak)]
    return tuple(value if math.isfinite(value) else -70.0 for value in values)  # digital silence
