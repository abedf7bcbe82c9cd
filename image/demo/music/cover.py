"""Draws a cover: concentric grooves whose radii wander with the album's own name, as SVG."""

from __future__ import annotations

import hashlib
import math
from xml.sax.saxutils import escape

_PALETTES = (("#10243b", "#f2b661", "#e2674a"), ("#1d1b38", "#8fd3c1", "#f0e3c4"), ("#2a1523", "#f08a8a", "#f7d9a8"),
             ("#0f2d2a", "#d7e26b", "#f4f1de"))


def draw(title: str, artist: str) -> str:
    seed = hashlib.sha256(f"{title}\n{artist}".encode()).digest()
    ground, line, accent = _PALETTES[seed[0] % len(_PALETTES)]
    rings = []
    for ring in range(26):
        radius = 60 + ring * 12.5
        points = []
        for step in range(121):
            angle = step / 120 * 2 * math.pi
            wander = sum((seed[1 + k] / 255 - 0.5) * 9 * math.sin((k + 2) * angle + ring * 0.11 * (k + 1)) for k in range(5))
            points.append(f"{400 + (radius + wander) * math.cos(angle):.1f},{360 + (radius + wander) * math.sin(angle):.1f}")
        colour = accent if ring % 7 == seed[9] % 7 else line
        rings.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"'
                     f' opacity="{0.35 + 0.6 * (1 - ring / 26):.2f}"/>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 800" role="img" aria-label="{escape(title)}">'
            f'<rect width="800" height="800" fill="{ground}"/>{"".join(rings)}<circle cx="400" cy="360" r="20" fill="{accent}"/>'
            f'<rect y="690" width="800" height="110" fill="{ground}" opacity="0.85"/>'
            f'<text x="48" y="738" font-family="Georgia, serif" font-size="44" fill="{line}">{escape(title)}</text>'
            f'<text x="48" y="776" font-family="Georgia, serif" font-size="24" fill="{line}" opacity="0.8">{escape(artist)}</text></svg>\n')
