"""Writes one part of a piece as a Standard MIDI File (format 0), the form a synthesizer reads.

Every part of a piece gets the same tempo and the same end, so that stems rendered one by one lie on each other to the
sample. The end-of-track event waits for the ring-out: a renderer stops there.
"""

from __future__ import annotations

import struct
from pathlib import Path

from .notes import Part, Piece

TICKS_PER_BEAT = 480
_VOLUME, _EXPRESSION, _REVERB, _CHORUS = 7, 11, 91, 93


def write_part(path: Path, piece: Piece, part: Part) -> None:
    events: list[tuple[int, int, bytes]] = []  # tick, order within the tick, bytes
    tempo_us = round(60_000_000 / piece.beats_per_minute)
    events.append((0, 0, b"\xff\x51\x03" + tempo_us.to_bytes(3, "big")))
    events.append((0, 1, bytes([0xC0, part.program])))
    for controller, value in ((_VOLUME, 110), (_EXPRESSION, 127), (_REVERB, 60), (_CHORUS, 0)):
        events.append((0, 2, bytes([0xB0, controller, value])))
    for note in part.notes:
        on = round(note.start * TICKS_PER_BEAT)
        off = max(on + 1, round((note.start + note.length) * TICKS_PER_BEAT))
        events.append((on, 4, bytes([0x90, note.pitch, note.velocity])))
        events.append((off, 3, bytes([0x80, note.pitch, 0])))  # ends before a note of the same tick begins
    end = round((piece.end_beat() + piece.ring_out_s * piece.beats_per_minute / 60.0) * TICKS_PER_BEAT)
    events.append((end, 9, b"\xff\x2f\x00"))

    track = bytearray()
    now = 0
    for tick, _, data in sorted(events, key=lambda event: event[:2]):
        track += _variable_length(tick - now) + data
        now = tick
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS_PER_BEAT)
    path.write_bytes(header + struct.pack(">4sI", b"MTrk", len(track)) + track)


def _variable_length(value: int) -> bytes:
    out = bytes([value & 0x7F])
    while value := value >> 7:
        out = bytes([0x80 | (value & 0x7F)]) + out
    return out
