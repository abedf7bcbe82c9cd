"""The music of the demonstration album: four pieces in the public domain, transcribed and set for this project.

The notes are the composers'; the instrumentation and, in the last piece, the harmony are ours. Each instrument has a
seat around the listener, which is what the spatial rendition is made of: the three violins of the canon answer each
other from left, right and behind.
"""

from __future__ import annotations

from .notes import Note, Part, Piece, parse, pitch_number

# General MIDI programs, counted from 0
HARPSICHORD, CELESTA, VIOLIN, VIOLA, CELLO, CONTRABASS = 6, 8, 40, 41, 42, 43
PIZZICATO, HARP, TIMPANI, STRINGS, SLOW_STRINGS = 45, 46, 47, 48, 49
TRUMPET, TROMBONE, HORN, OBOE, BASSOON, CLARINET, FLUTE = 56, 57, 60, 68, 70, 71, 73


def album() -> list[Piece]:
    return [prelude(), canon(), minuet(), ode()]


# J. S. Bach, The Well-Tempered Clavier I, Prelude 1: each bar is a chord of five notes, broken twice.
_PRELUDE = """
C4 E4 G4 C5 E5 | C4 D4 A4 D5 F5 | B3 D4 G4 D5 F5 | C4 E4 G4 C5 E5 | C4 E4 A4 E5 A5 | C4 D4 F#4 A4 D5
B3 D4 G4 D5 G5 | B3 C4 E4 G4 C5 | A3 C4 E4 G4 C5 | D3 A3 D4 F#4 C5 | G3 B3 D4 G4 B4 | G3 Bb3 E4 G4 C#5
F3 A3 D4 A4 D5 | F3 Ab3 D4 F4 B4 | E3 G3 C4 G4 C5 | E3 F3 A3 C4 F4 | D3 F3 A3 C4 F4 | G2 D3 G3 B3 F4
C3 E3 G3 C4 E4 | C3 G3 Bb3 C4 E4 | F2 F3 A3 C4 E4 | F#2 C3 A3 C4 Eb4 | Ab2 F3 B3 C4 D4 | G2 F3 G3 B3 D4
G2 E3 G3 C4 E4 | G2 D3 G3 C4 F4 | G2 D3 G3 B3 F4 | G2 Eb3 A3 C4 F#4 | G2 E3 G3 C4 G4 | G2 D3 G3 C4 F4
G2 D3 G3 B3 F4 | C2 C3 G3 Bb3 E4
"""
_PRELUDE_CLOSE = """
C2/0.25 C3 F3 A3 C4 F4 C4 A3 C4 A3 F3 A3 F3 D3 F3 D3
C2 B2 G4 B4 D5 F5 D5 B4 D5 B4 G4 B4 D4 F4 E4 D4
"""


def prelude() -> Piece:
    low = Part("harp, low strings", HARP, -45, width=25, low_send=0.3)
    high = Part("harp, high strings", HARP, 45, width=25)
    strings = Part("strings", SLOW_STRINGS, 180, width=65, gain_db=-7)
    celesta = Part("celesta", CELESTA, 0, gain_db=-9)
    at = 0.0
    for index, bar in enumerate(_PRELUDE.replace("\n", "|").split("|")):
        chord = bar.split()
        if not chord:
            continue
        bass, tenor, *upper = chord
        loud = 70 + 10 * (at % 32) / 32
        for half in (at, at + 2):
            low.play(f"{bass}/2", half, loud + 4, touch=1)
            low.play(f"{tenor}/1.75", half + 0.25, loud, touch=1)
            high.play(f"{upper[0]}/0.25 {upper[1]} {upper[2]} {upper[0]} {upper[1]} {upper[2]}", half + 0.5, loud,
                      swell=8, touch=1.6)
        strings.play(f"{bass}+{tenor}+{upper[0]}+{upper[2]}/4", at, 52 + min(22, index // 2), touch=1.0)
        if index % 8 == 7:
            celesta.play(f"{upper[2]}/4", at, 60, transpose=12)
        at += 4
    for line in _PRELUDE_CLOSE.strip().splitlines():
        bass = line.split()[0].partition("/")[0]
        low.play(f"{bass}/4", at, 76, touch=1)
        first, rest = line.split()[0], " ".join(line.split()[1:])
        high.play(f"r/0.25 {rest}", at, 72, swell=8, touch=1.6)
        strings.play(f"{bass}+C3/4" if first.startswith("C2") else f"{bass}/4", at, 60)
        at += 4
    low.play("C2+C3/4", at, 78, touch=1)
    high.play("E4+G4+C5/4", at, 74, touch=1)
    strings.play("C2+C3+E4+G4+C5/4", at, 58)
    celesta.play("C6/4", at, 55)
    return Piece("Prelude in C major, BWV 846", "Johann Sebastian Bach", 100, [low, high, strings, celesta])


# J. Pachelbel, Canon: one line, played by three violins two bars apart, over a bass of eight notes.
_CANON = [
    "F#5/1 E5 D5 C#5 B4 A4 B4 C#5",
    "D5/1 C#5 B4 A4 G4 F#4 G4 E4",
    "D4/0.5 F#4 A4 G4 F#4 D4 F#4 E4 D4 B3 D4 A4 G4 B4 A4 G4",
    "F#4/0.5 D4 E4 C#5 D5 F#5 A5 A4 B4 G4 A4 F#4 D4 D5 D5/0.75 C#5/0.25",
    "D5/0.25 C#5 D5 D4 C#4 A4 E4 F#4 D4 D5 C#5 B4 C#5 F#5 A5 B5 G5 F#5 E5 G5 F#5 E5 D5 C#5 B4 A4 G4 F#4 E4 G4 F#4 E4",
    "D4/0.25 E4 F#4 G4 A4 E4 A4 G4 F#4 B4 A4 G4 A4 G4 F#4 E4 D4 B3 B4 C#5 D5 C#5 B4 A4 G4 F#4 E4 B4 A4 B4 A4 G4",
    "F#4/0.5 F#5 E5/1 r/0.5 D5/0.5 F#5/1 B5/1 A5 B5 C#6",
    "D6/0.5 D5 C#5/1 r/0.5 B4/0.5 D5/1 D5/1.5 D5/0.5 D5 G5 E5 A5",
    "A5/0.25 F#5/0.125 G5 A5/0.25 F#5/0.125 G5 A5 A4 B4 C#5 D5 E5 F#5 G5"
    " F#5/0.25 D5/0.125 E5 F#5/0.25 F#4/0.125 G4 A4 B4 A4 G4 A4 F#4 G4 A4"
    " G4/0.25 B4/0.125 A4 G4/0.25 F#4/0.125 E4 F#4 E4 D4 E4 F#4 G4 A4 B4"
    " G4/0.25 B4/0.125 A4 B4/0.25 C#5/0.125 D5 A4 B4 C#5 D5 E5 F#5 G5 A5",
]
_GROUND = "D3/1 A2 B2 F#2 G2 D2 G2 A2"
_GROUND_CHORDS = ["D4+F#4+A4", "C#4+E4+A4", "D4+F#4+B4", "C#4+F#4+A4", "B3+D4+G4", "A3+D4+F#4", "B3+D4+G4", "C#4+E4+A4"]


def canon() -> Piece:
    cello = Part("cello", CELLO, 0, gain_db=-2, low_send=0.5)
    continuo = Part("harpsichord", HARPSICHORD, 15, width=20, gain_db=-8)
    violins = [Part("violin I", VIOLIN, -40, gain_db=-3), Part("violin II", VIOLIN, 40, gain_db=-3),
               Part("violin III", VIOLIN, 150, width=25, gain_db=-3)]
    rounds = len(_CANON) + 1
    for number in range(rounds):
        cello.play(_GROUND, number * 8, 74 + number, touch=1)
        for step, chord in enumerate(_GROUND_CHORDS):
            tones = chord.split("+")
            continuo.play(f"{chord}/0.5 {tones[1]}", number * 8 + step, 58 + number)
    for index, violin in enumerate(violins):
        for number in range(rounds - 1 - index):
            violin.play(_CANON[number], (number + 1 + index) * 8, 70 + number * 3, swell=10, touch=0.98)
    end = rounds * 8
    cello.play("D2/4", end, 78)
    continuo.play("D3/0.125 A3 D4 F#4 A4/3.5", end, 60)
    for violin, tone in zip(violins, ("D5", "F#4", "A4")):
        violin.play(f"{tone}/4", end, 76)
    return Piece("Canon in D", "Johann Pachelbel", 60, [*violins, cello, continuo])


# C. Petzold, Minuet in G (from the Notebook for Anna Magdalena Bach, BWV Anh. 114)
_MINUET_UPPER = """
D5/1 G4/0.5 A4 B4 C5 | D5/1 G4 G4 | E5/1 C5/0.5 D5 E5 F#5 | G5/1 G4 G4
C5/1 D5/0.5 C5 B4 A4 | B4/1 C5/0.5 B4 A4 G4 | F#4/1 G4/0.5 A4 B4 G4 | B4/0.5 A4/2.5
D5/1 G4/0.5 A4 B4 C5 | D5/1 G4 G4 | E5/1 C5/0.5 D5 E5 F#5 | G5/1 G4 G4
C5/1 D5/0.5 C5 B4 A4 | B4/1 C5/0.5 B4 A4 G4 | A4/1 B4/0.5 A4 G4 F#4 | G4/3
B5/1 G5/0.5 A5 B5 G5 | A5/1 D5/0.5 E5 F#5 D5 | G5/1 E5/0.5 F#5 G5 D5 | C#5/1 B4/0.5 C#5 A4/1
A4/0.5 B4 C#5 D5 E5 F#5 | G5/1 F#5 E5 | F#5/1 A4 C#5 | D5/3
D5/1 G4/0.5 F#4 G4/1 | E5/1 G4/0.5 F#4 G4/1 | D5/1 C5 B4 | A4/0.5 G4 F#4 G4 A4/1
D4/0.5 E4 F#4 G4 A4 B4 | C5/1 B4 A4 | B4/0.5 D5 G4/1 F#4 | G4/3
"""
_MINUET_LOWER = """
G3+B3+D4/2 A3/1 | B3/3 | C4 | B3 | A3 | G3 | D4/1 B3 G3 | D4/1 D3/0.5 C4 B3 A3
B3/2 A3/1 | G3/1 B3 G3 | C4/3 | B3/1 C4/0.5 B3 A3 G3 | A3/2 F#3/1 | G3/2 B3/1 | C4/1 D4 D3 | G3/2 G2/1
G3/3 | F#3 | E3/1 G3 E3 | A3/2 A2/1 | A3/3 | B3/1 D4 C#4 | D4/1 F#3 A3 | D4/1 D3 C4
B3/1 D4 B3 | C4/1 E4 C4 | B3/1 A3 G3 | D4/2 r/1 | D3/2 F#3/1 | E3/1 G3 F#3 | G3/1 B2 D3 | G3/1 D3 G2
"""


def minuet() -> Piece:
    harpsichord = Part("harpsichord", HARPSICHORD, 0, width=30)
    flute = Part("flute", FLUTE, -35)
    oboe = Part("oboe", OBOE, 35, gain_db=-3)
    cello = Part("cello", CELLO, 20, low_send=0.4)
    pizzicato = Part("pizzicato strings", PIZZICATO, 180, width=60, gain_db=-2)
    harpsichord.play(_MINUET_UPPER, 0, 84, swell=10, touch=0.9)
    second = harpsichord.play(_MINUET_LOWER, 0, 72, touch=0.9)
    flute.play(_MINUET_UPPER, second, 84, swell=14, touch=0.92)
    cello.play(_MINUET_LOWER, second, 76, touch=0.92)
    # The oboe joins a third or a sixth below in the second half of the repeat; the strings mark the beats.
    half = " ".join(_MINUET_UPPER.strip().splitlines()[4:])
    oboe.play(half, second + 48, 62, transpose=-12, touch=0.92)
    for at, length, pitches in parse(_MINUET_LOWER)[0]:
        for beat in range(max(1, int(length))):
            for pitch in (pitches[0], pitches[0] + 12):
                pizzicato.notes.append(Note(second + at + beat, 0.5, pitch, 70 if beat else 82))
    return Piece("Minuet in G major, BWV Anh. 114", "Christian Petzold", 132,
                 [harpsichord, flute, oboe, cello, pizzicato], ring_out_s=3.0)


# L. van Beethoven, the theme of the Ninth Symphony's finale
_ODE = """
F#4/1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | F#4/1.5 E4/0.5 E4/2
F#4/1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4/1.5 D4/0.5 D4/2
E4/1 E4 F#4 D4 | E4 F#4/0.5 G4 F#4/1 D4 | E4 F#4/0.5 G4 F#4/1 E4 | D4 E4 A3/1 F#4/2
F#4/1 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4/1.5 D4/0.5 D4/2
"""
_ODE_CHORDS = ("D D A7 D  D A7 D A  Bm D A7 D  D D A A  D D A7 D  D A7 D A  Bm G A7 D  A A7 D D "
               "A A D Bm  A A7 D Bm  A A7 F# F#  Bm E A A7  D D A7 D  D A7 D A  Bm G A7 D  A A7 D D").split()
_TRIADS = {"D": "D3 F#3 A3", "A": "A2 C#3 E3", "A7": "A2 C#3 G3", "Bm": "B2 D3 F#3", "G": "G2 B2 D3", "F#": "F#2 A#2 C#3",
           "E": "E3 G#3 B3"}


def ode() -> Piece:
    basses = Part("cellos and basses", CELLO, 15, width=20, gain_db=1, low_send=0.6)
    contrabass = Part("contrabasses", CONTRABASS, 25, gain_db=-2, low_send=0.8)
    violas = Part("violas", VIOLA, -15, gain_db=1)
    bassoon = Part("bassoon", BASSOON, 130, gain_db=-3)
    strings = Part("violins", STRINGS, -45, width=20)
    horns = Part("horns", HORN, -120, width=25, gain_db=-2)
    trumpets = Part("trumpets", TRUMPET, 120, gain_db=-4)
    timpani = Part("timpani", TIMPANI, 180, gain_db=-2, low_send=0.5)
    # First the low strings alone, as in the symphony; then violas with a bassoon around them; then everyone.
    second = basses.play(_ODE, 0, 66, transpose=-12, swell=12, touch=0.97)
    contrabass.play(_ODE, 0, 58, transpose=-24, swell=10, touch=0.97)
    third = violas.play(_ODE, second, 76, swell=12, touch=0.97)
    strings.play(_ODE, second, 46, transpose=12, swell=14, touch=0.97)
    for index, name in enumerate(_ODE_CHORDS):
        root, third_tone, fifth = (pitch_number(tone) for tone in _TRIADS[name].split())
        bassoon.notes += [Note(second + index, 0.45, third_tone + 12 if index % 2 else fifth, 66),
                          Note(second + index + 0.5, 0.45, root + 12, 60)]
        contrabass.notes.append(Note(second + index, 0.9, root - 12 if root >= 45 else root, 66))
        # everyone
        for pitch in (root, third_tone, fifth):
            horns.notes.append(Note(third + index, 0.92, pitch + (12 if pitch < 50 else 0), 84))
        basses.notes.append(Note(third + index, 0.92, root, 92))
        contrabass.notes.append(Note(third + index, 0.92, root - 12 if root >= 45 else root, 84))
        if name in ("D", "A", "A7") and index % 2 == 0:
            timpani.notes.append(Note(third + index, 0.9, pitch_number("D3" if name == "D" else "A2"), 88))
    strings.play(_ODE, third, 94, transpose=12, swell=12, touch=0.98)
    end = trumpets.play(_ODE, third, 88, swell=10, touch=0.93)
    trumpets.play("D5+A4/3", end, 92)
    strings.play("D5+F#5+D6/3", end, 96)
    horns.play("D3+A3+F#4/3", end, 90)
    basses.play("D2+D3/3", end, 96)
    contrabass.play("D2/3", end, 90)
    timpani.play("D3/0.25 D3 D3 D3 D3 D3 D3 D3 D3/1", end, 92)
    return Piece("Ode to Joy (theme of the Ninth Symphony)", "Ludwig van Beethoven", 150,
                 [basses, contrabass, violas, bassoon, strings, horns, trumpets, timpani])
