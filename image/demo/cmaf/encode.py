"""Encodes one track's masters and cuts each encoding into CMAF segments.

ffmpeg makes one fragmented MP4 a rendition; the cut is ours, because its HLS and DASH muxers drop IAMF silently, name
no codec for FLAC and guess bandwidths. Before a rendition counts as made, its segments are read back: the lengths must
be the source's to the sample, and a lossless one must decode to the very PCM it was made from.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from children import Children, ToolError
from music.render import Masters, ffmpeg, measure

from . import boxes
from .manifests import Rendition

_SEGMENT_S = 4.0
# A request for a few packets is not worth its round trip, and one that begins after the presentation's end, as Opus's pre-skip can
# make it, Shaka never fetches. Below half a second the longest segment still rounds to 4 s, HLS's target duration.
_SHORTEST_END_S = 0.4
_FLAC_FRAME = 4096  # samples; 43 of them are the 176,128 samples that lossless services use at 44.1 kHz
_OPUS_FRAME = 960  # samples, 20 ms
_OPUS_RATE_HZ = 48_000
_MAX_FLAC_RATE_HZ = 192_000  # what browsers decode
_CMAF = ("-map_metadata", "-1", "-movflags", "+cmaf+delay_moov", "-frag_duration", "1000000", "-f", "mp4")
# One layer of 5.1 (IAMF v1.0 3.6): coupled front, coupled surround, centre, low frequencies.
_IAMF_SUBSTREAMS = (("FL|FR", "stereo", "128k"), ("BL|BR", "stereo", "128k"), ("FC", "mono", "64k"), ("LFE", "mono", "32k"))


@dataclass(frozen=True)
class Source:
    """PCM of one track, as WAV."""

    wav: Path
    sample_rate_hz: int
    bit_depth: int  # 16 or 24
    channels: int
    samples: int
    spatial: Masters | None  # None: the surround rendition is made by upmixing


def probe_pcm(wav: Path, children: Children) -> tuple[int, int, int, int]:
    """Returns sample rate, bit depth, channels and length in samples of a WAV file."""
    said = children.run(["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries",
                         "stream=sample_rate,bits_per_sample,channels,duration_ts", "-of", "default=nw=1", str(wav)])
    fields = dict(line.split("=", 1) for line in said.stdout.decode().split())
    return (int(fields["sample_rate"]), int(fields["bits_per_sample"]), int(fields["channels"]), int(fields["duration_ts"]))


def package(source: Source, folder: Path, work: Path, children: Children, said=lambda label: None) -> list[Rendition]:
    """Makes every rendition of a track below `folder`; `work` is for large files that are removed again."""
    renditions = []
    is_cd = source.bit_depth <= 16 and source.sample_rate_hz == 44_100 and source.channels <= 2
    said("FLAC 16/44.1")
    cd = source.wav
    if not is_cd:
        cd = work / "cd.wav"
        stereo = "aformat=channel_layouts=stereo," if source.channels > 2 else ""
        children.run(ffmpeg("-i", str(source.wav), "-af",
                            f"{stereo}aresample=44100:resampler=soxr:out_sample_fmt=s16:dither_method=triangular",
                            "-c:a", "pcm_s16le", str(cd)))
    renditions.append(_flac(cd, folder, work, children))
    if not is_cd:
        lossless = source.wav
        if source.sample_rate_hz > _MAX_FLAC_RATE_HZ:
            lossless = work / "lossless.wav"
            children.run(ffmpeg("-i", str(source.wav), "-af", f"aresample={_MAX_FLAC_RATE_HZ}:resampler=soxr",
                                "-c:a", "pcm_s24le", str(lossless)))
        said(f"FLAC {source.bit_depth}/{source.sample_rate_hz / 1000:g}")
        renditions.append(_flac(lossless, folder, work, children))
    said("Opus")
    renditions.append(_opus(source, folder, work, children))
    said("IAMF 5.1")
    renditions.append(_iamf(source, folder, work, children))
    for leftover in work.iterdir():
        if leftover not in (source.wav, source.spatial.surround if source.spatial else None):
            leftover.unlink()
    return renditions


def _flac(wav: Path, folder: Path, work: Path, children: Children) -> Rendition:
    rate, depth, channels, samples = probe_pcm(wav, children)
    fragmented = work / "flac.mp4"
    children.run(ffmpeg("-i", str(wav), "-c:a", "flac", "-frame_size", str(_FLAC_FRAME), *_CMAF, str(fragmented)))
    pcm = f"pcm_s{depth}le"
    md5 = _pcm_md5(["-i", str(wav)], pcm, children)
    name = f"flac-{depth}-{_short_rate(rate)}"
    made = _cut(fragmented, folder / name, _FLAC_FRAME, f"FLAC {depth}/{rate / 1000:g}", "fLaC", rate, depth, channels,
                flac_md5=bytes.fromhex(md5))
    if sum(made.durations) != samples:
        raise ToolError(f"{name}: the segments hold {sum(made.durations)} samples, the source {samples}")
    whole = work / "whole.mp4"
    with open(whole, "wb") as joined:
        for part in [folder / name / "init.mp4", *sorted((folder / name).glob("*.m4s"))]:
            joined.write(part.read_bytes())
    if _pcm_md5(["-i", str(whole)], pcm, children) != md5:
        raise ToolError(f"{name}: the segments do not decode to the samples they were made from")
    return made


def _opus(source: Source, folder: Path, work: Path, children: Children) -> Rendition:
    fragmented = work / "opus.mp4"
    children.run(ffmpeg("-i", str(source.wav), "-af", f"aformat=channel_layouts=stereo,aresample={_OPUS_RATE_HZ}:resampler=soxr",
                        "-c:a", "libopus", "-b:a", "160k", "-vbr", "on", "-frame_duration", "20", *_CMAF, str(fragmented)))
    made = _cut(fragmented, folder / "opus-160", _OPUS_FRAME, "Opus 160k", "Opus", _OPUS_RATE_HZ, None, 2)
    _check_length(made, source)
    return made


def _iamf(source: Source, folder: Path, work: Path, children: Children) -> Rendition:
    if source.spatial:
        surround, folded, loud = source.spatial.surround, source.spatial.stereo_loudness_lufs, source.spatial.surround_loudness_lufs
    else:
        surround = work / "surround.wav"
        upmix = {1: "aformat=channel_layouts=stereo,surround=chl_in=stereo:chl_out=5.1",
                 2: "aformat=channel_layouts=stereo,surround=chl_in=stereo:chl_out=5.1"}.get(source.channels, "aformat=channel_layouts=5.1")
        seconds = f"{source.samples / source.sample_rate_hz:.9f}"
        children.run(ffmpeg("-i", str(source.wav), "-af", f"aresample={_OPUS_RATE_HZ}:resampler=soxr,{upmix},apad=whole_dur={seconds},"
                            f"atrim=end={seconds},aformat=channel_layouts=5.1", "-c:a", "pcm_s24le", str(surround)))
        loud = measure(surround, children)[0]
        folded = measure(surround, children, "aformat=channel_layouts=stereo,")[0]
    fragmented = work / "iamf.mp4"
    graph = ";".join(f"[0:a]channelmap=map={channels}:channel_layout={layout}[s{index}]"
                     for index, (channels, layout, _) in enumerate(_IAMF_SUBSTREAMS))
    streams = [argument for index in range(len(_IAMF_SUBSTREAMS)) for argument in ("-map", f"[s{index}]")]
    rates = [argument for index, (_, _, rate) in enumerate(_IAMF_SUBSTREAMS) for argument in (f"-b:a:{index}", rate)]
    members = ":".join(f"st={index}" for index in range(len(_IAMF_SUBSTREAMS)))
    element = f"type=iamf_audio_element:id=1:{members}:audio_element_type=channel,layer=ch_layout=5.1"
    mix = ("type=iamf_mix_presentation:id=2:stg=0:annotations=en-us=Album,"
           "submix=parameter_id=100:parameter_rate=48000|element=stg=0:parameter_id=101:parameter_rate=48000:annotations=en-us=Music"
           f"|layout=layout_type=loudspeakers:sound_system=stereo:integrated_loudness={folded:.2f}"
           f"|layout=layout_type=loudspeakers:sound_system=5.1:integrated_loudness={loud:.2f}")
    children.run(ffmpeg("-i", str(surround), "-filter_complex", graph, *streams, "-c:a", "libopus", *rates,
                        "-frame_duration", "20", "-stream_group", element, "-stream_group", mix,
                        *(argument for index in range(len(_IAMF_SUBSTREAMS)) for argument in ("-streamid", f"{index}:{index}")),
                        *_CMAF, str(fragmented)))
    # Simple profile, Opus inside (IAMF v1.0 section 6.3)
    made = _cut(fragmented, folder / "iamf-5.1", _OPUS_FRAME, "Spatial 5.1 (IAMF)", "iamf.000.000.Opus", _OPUS_RATE_HZ, None, 6)
    _check_length(made, source)
    return made


def _cut(fragmented: Path, folder: Path, frame: int, label: str, codecs: str, rate: int, depth: int | None, channels: int,
         flac_md5: bytes | None = None) -> Rendition:
    folder.mkdir(parents=True)
    with open(fragmented, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        track = boxes.read_fragmented(data)
        if track.timescale != rate:
            raise ToolError(f"{folder.name}: timescale {track.timescale}, expected {rate}")
        durations, sizes, at = [], [], 0
        for number, samples in enumerate(_segments(track.samples, frame, rate), 1):
            body = boxes.segment(data, samples, number, at)
            (folder / f"{number:05d}.m4s").write_bytes(body)
            duration = sum(sample.duration for sample in samples)
            durations.append(duration)
            sizes.append(len(body))
            at += duration
        durations[0] -= track.edit_start  # manifests tell what is heard
        made = Rendition(folder.name, label, codecs, rate, depth, channels, track.timescale, tuple(durations), tuple(sizes))
        (folder / "init.mp4").write_bytes(boxes.header(track, made.average_bits(), made.peak_bits(), flac_md5))
    fragmented.unlink()
    return made


def _segments(samples: list[boxes.Sample], frame: int, rate: int) -> list[list[boxes.Sample]]:
    """Runs of samples of about _SEGMENT_S; an end shorter than _SHORTEST_END_S is part of the segment before it."""
    each = max(1, round(_SEGMENT_S * rate / frame))
    runs = [samples[first:first + each] for first in range(0, len(samples), each)]
    if len(runs) > 1 and sum(sample.duration for sample in runs[-1]) < _SHORTEST_END_S * rate:
        end = runs.pop()
        runs[-1] = runs[-1] + end
    return runs


def _check_length(made: Rendition, source: Source) -> None:
    heard = float(made.duration_s())
    asked = source.samples / source.sample_rate_hz
    if abs(heard - asked) > 0.005:
        raise ToolError(f"{made.name}: the segments last {heard:.4f} s, the source {asked:.4f} s")


def _pcm_md5(inputs: list[str], codec: str, children: Children) -> str:
    said = children.run(["ffmpeg", "-nostdin", "-v", "error", "-xerror", *inputs, "-map", "0:a:0", "-c:a", codec, "-f", "md5", "-"])
    return said.stdout.decode().strip().partition("=")[2]


def _short_rate(rate_hz: int) -> str:
    return str(rate_hz // 1000)
