"""A small note language and the score it makes.

A line of music is text: `D5/1 C#5 B4/0.5 r/1 B3+D4+F#4/2`. A token is a pitch (or several joined by `+`, or `r` for a
rest), and after a slash its length in beats, which stays for the tokens that follow. Everything is in beats until
midi.py turns it into ticks; nothing here knows of tempo or sound.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_STEP = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_PITCH = re.compile(r"([A-G])(#|b)?(-?\d)")


@dataclass(frozen=True)
class Note:
    start: float  # beats from the beginning of the piece
    length: float  # beats
    pitch: int  # MIDI number, 60 is C4
    velocity: int  # 1..127


@dataclass
class Part:
    """One instrument, its notes, and its seat around the listener."""

    name: str
    program: int  # General MIDI program, counted from 0
    azimuth: float  # degrees: 0 in front, negative to the left, +-110 is where the surround speakers stand
    width: float = 12.0  # degrees that the two sides of the instrument's stereo sound stand apart from the seat
    gain_db: float = 0.0
    low_send: float = 0.0  # share that goes to the low-frequency channel of the spatial rendition
    notes: list[Note] = field(default_factory=list)

    def play(self, text: str, start: float, velocity: int = 80, transpose: int = 0, swell: float = 0.0,
             touch: float = 0.95) -> float:
        """Adds a line at `start` and returns the beat where it ends.

        swell: how much louder (in velocity) the middle of the line is than its ends. touch: the share of its length
        that a note sounds.
        """
        events, end = parse(text)
        for at, length, pitches in events:
            lift = swell * math.sin(math.pi * (at / end if end else 0))
            for pitch in pitches:
                self.notes.append(Note(start + at, length * touch, pitch + transpose,
                                       max(1, min(127, round(velocity + lift)))))
        return start + end


@dataclass
class Piece:
    title: str
    composer: str
    beats_per_minute: float
    parts: list[Part]
    ring_out_s: float = 3.5  # silence after the last note for the room to fade

    def end_beat(self) -> float:
        return max(note.start + note.length for part in self.parts for note in part.notes)

    def duration_s(self) -> float:
        return self.end_beat() * 60.0 / self.beats_per_minute + self.ring_out_s


def pitch_number(name: str) -> int:
    match = _PITCH.fullmatch(name)
    if not match:
        raise ValueError(f"not a pitch: {name!r}")
    letter, accidental, octave = match.groups()
    return _STEP[letter] + {"#": 1, "b": -1, None: 0}[accidental] + 12 * (int(octave) + 1)


def parse(text: str) -> tuple[list[tuple[float, float, tuple[int, ...]]], float]:
    """Returns [(start beat, length in beats, pitches)] and the line's length in beats."""
    events = []
    at, length = 0.0, 1.0
    for token in text.replace("|", " ").split():
        name, slash, written = token.partition("/")
        if slash:
            length = float(written)
        if name != "r":
            events.append((at, length, tuple(pitch_number(one) for one in name.split("+"))))
        at += length
    return events, at
