"""HLS (RFC 8216 and its second edition) and DASH (ISO/IEC 23009-1) manifests over one set of segments.

Every number comes from the segments themselves: durations from their samples, bandwidths from their sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from xml.sax.saxutils import escape, quoteattr


@dataclass(frozen=True)
class Rendition:
    name: str  # its folder, and its id in both manifests
    label: str
    codecs: str  # RFC 6381
    sample_rate_hz: int
    bit_depth: int | None  # of lossless renditions
    channels: int
    timescale: int  # ticks a second
    durations: tuple[int, ...]  # ticks that are heard, one a segment; the first begins after what a codec wants skipped
    sizes: tuple[int, ...]  # bytes, one a segment

    def seconds(self, index: int) -> Fraction:
        return Fraction(self.durations[index], self.timescale)

    def duration_s(self) -> Fraction:
        return Fraction(sum(self.durations), self.timescale)

    def target_duration_s(self) -> int:
        """What every segment's duration, rounded, must not exceed (RFC 8216 4.3.3.1)."""
        return max(1, max(int(Fraction(ticks, self.timescale) + Fraction(1, 2)) for ticks in self.durations))

    def average_bits(self) -> int:
        return round(sum(self.sizes) * 8 / self.duration_s())

    def peak_bits(self) -> int:
        """The highest bit rate of any run of segments between half and one and a half target durations long."""
        target = self.target_duration_s()
        peak = Fraction(0)
        for first in range(len(self.sizes)):
            length, size = Fraction(0), 0
            for index in range(first, len(self.sizes)):
                length += self.seconds(index)
                size += self.sizes[index]
                if length > Fraction(3, 2) * target:
                    break
                if length >= Fraction(1, 2) * target:
                    peak = max(peak, size * 8 / length)
        return max(round(peak), self.average_bits())


def media_playlist(rendition: Rendition) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{rendition.target_duration_s()}",
             "#EXT-X-MEDIA-SEQUENCE:1", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS",
             '#EXT-X-MAP:URI="init.mp4"']
    for index in range(len(rendition.durations)):
        lines += [f"#EXTINF:{float(rendition.seconds(index)):.9f},", f"{index + 1:05d}.m4s"]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def multivariant_playlist(renditions: list[Rendition]) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for one in renditions:
        depth = f",BIT-DEPTH={one.bit_depth}" if one.bit_depth else ""
        lines.append(f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{one.name}",NAME="{one.label}",DEFAULT=YES,AUTOSELECT=YES,'
                     f'CHANNELS="{one.channels}",SAMPLE-RATE={one.sample_rate_hz}{depth}')
    for one in renditions:
        lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={one.peak_bits()},AVERAGE-BANDWIDTH={one.average_bits()},"
                  f'CODECS="{one.codecs}",AUDIO="{one.name}"', f"{one.name}/media.m3u8"]
    return "\n".join([*lines, ""])


# ISO/IEC 23091-3 (CICP) channel configurations by number of channels
_CHANNEL_CONFIGURATION = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 12}


def mpd(title: str, duration_s: Fraction, renditions: list[Rendition]) -> str:
    length = f"PT{float(duration_s):.6f}S"
    longest = max(float(one.seconds(i)) for one in renditions for i in range(len(one.durations)))
    out = ['<?xml version="1.0" encoding="UTF-8"?>',
           '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
           ' profiles="urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"'
           f' minBufferTime="PT{longest:.3f}S" mediaPresentationDuration="{length}">',
           f"  <ProgramInformation><Title>{escape(title)}</Title></ProgramInformation>",
           f'  <Period id="1" start="PT0S" duration="{length}">']
    for number, one in enumerate(renditions, 1):
        out += [f'    <AdaptationSet id="{number}" contentType="audio" mimeType="audio/mp4" segmentAlignment="true"'
                ' startWithSAP="1">',
                f"      <Label>{escape(one.label)}</Label>",
                '      <SegmentTemplate initialization="$RepresentationID$/init.mp4"'
                f' media="$RepresentationID$/$Number%05d$.m4s" startNumber="1" timescale="{one.timescale}">',
                "        <SegmentTimeline>", *_timeline(one.durations), "        </SegmentTimeline>",
                "      </SegmentTemplate>",
                f'      <Representation id={quoteattr(one.name)} codecs="{one.codecs}" bandwidth="{one.peak_bits()}"'
                f' audioSamplingRate="{one.sample_rate_hz}">',
                '        <AudioChannelConfiguration schemeIdUri="urn:mpeg:mpegB:cicp:ChannelConfiguration"'
                f' value="{_CHANNEL_CONFIGURATION.get(one.channels, 0)}"/>',
                "      </Representation>", "    </AdaptationSet>"]
    return "\n".join([*out, "  </Period>", "</MPD>", ""])


def _timeline(durations: tuple[int, ...]) -> list[str]:
    lines, index, at = [], 0, 0
    while index < len(durations):
        run = 1
        while index + run < len(durations) and durations[index + run] == durations[index]:
            run += 1
        repeat = f' r="{run - 1}"' if run > 1 else ""
        lines.append(f'          <S t="{at}" d="{durations[index]}"{repeat}/>')
        at += run * durations[index]
        index += run
    return lines
