"""Reads and writes ISO base media boxes (ISO/IEC 14496-12), as much of them as audio in CMAF needs.

`read_fragmented` lists every sample of a one-track fragmented MP4 with its exact duration; `segment` writes any run of
those samples as one CMAF segment; `header` is the init segment. The input is what ffmpeg has just written for us, yet
lengths are checked: a truncated file is an error, never a short album.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts"}
_TFHD_BASE_OFFSET, _TFHD_DESCRIPTION, _TFHD_DURATION, _TFHD_SIZE = 0x1, 0x2, 0x8, 0x10
_TFHD_BASE_IS_MOOF = 0x020000
_TRUN_OFFSET, _TRUN_FIRST_FLAGS, _TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_CTS = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
_SYNC_SAMPLE = 0x02000000  # depends on no other sample


class BoxError(Exception):
    """The file is not the fragmented MP4 that was asked for."""


@dataclass(frozen=True)
class Sample:
    offset: int  # in the file
    size: int  # bytes
    duration: int  # in the track's timescale


@dataclass(frozen=True)
class FragmentedTrack:
    ftyp: bytes
    moov: bytes
    timescale: int  # ticks a second
    samples: list[Sample]
    edit_start: int  # ticks at the beginning that the edit list says not to present (Opus pre-skip)

    def duration(self) -> int:
        return sum(sample.duration for sample in self.samples)


def children(data, start: int = 0, end: int | None = None):
    """Yields (type, payload start, box end) of the boxes in data[start:end]."""
    end = len(data) if end is None else end
    while start < end:
        if start + 8 > end:
            raise BoxError(f"box header cut off at byte {start}")
        size, kind = struct.unpack_from(">I4s", data, start)
        payload = start + 8
        if size == 1:
            size = struct.unpack_from(">Q", data, payload)[0]
            payload += 8
        elif size == 0:
            size = end - start
        if size < payload - start or start + size > end:
            raise BoxError(f"box {kind!r} at byte {start} says {size} bytes, {end - start} are there")
        yield kind, payload, start + size
        start += size


def find(data, path: str, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """Returns (payload start, box end) of the first box at `path`, e.g. "trak/mdia/mdhd"."""
    first, _, rest = path.partition("/")
    for kind, payload, box_end in children(data, start, end):
        if kind == first.encode():
            return find(data, rest, payload, box_end) if rest else (payload, box_end)
    raise BoxError(f"no box {first!r}")


def box(kind: bytes, *payload: bytes) -> bytes:
    body = b"".join(payload)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def read_fragmented(data) -> FragmentedTrack:
    """`data` is a bytes-like object (an mmap for large files) that holds one audio track."""
    ftyp = moov = b""
    timescale = edit_start = 0
    defaults = {"duration": 0, "size": 0}
    samples: list[Sample] = []
    for kind, payload, end in children(data):
        if kind == b"ftyp":
            ftyp = bytes(data[payload - 8:end])
        elif kind == b"moov":
            moov = bytes(data[payload - 8:end])
            timescale, edit_start, defaults = _read_moov(moov)
        elif kind == b"moof":
            if not moov:
                raise BoxError("a fragment stands before the header")
            samples += _read_fragment(data, payload - 8, payload, end, defaults)
    if not ftyp or not moov or not samples:
        raise BoxError("not a fragmented MP4: header or fragments are missing")
    last = samples[-1]
    if last.offset + last.size > len(data):
        raise BoxError(f"the last sample ends at byte {last.offset + last.size}, the file at {len(data)}")
    return FragmentedTrack(ftyp, moov, timescale, samples, edit_start)


def _read_moov(moov: bytes) -> tuple[int, int, dict[str, int]]:
    if sum(kind == b"trak" for kind, _, _ in children(moov, 8)) != 1:
        raise BoxError("expected exactly one track")
    payload, _ = find(moov, "trak/mdia/mdhd", 8)
    timescale = struct.unpack_from(">I", moov, payload + (20 if moov[payload] else 12))[0]
    edit_start = 0
    try:
        payload, _ = find(moov, "trak/edts/elst", 8)
        wide = moov[payload] == 1
        media_time = struct.unpack_from(">q" if wide else ">i", moov, payload + (16 if wide else 12))[0]
        edit_start = max(0, media_time)
    except BoxError:
        pass  # no edit list: presentation starts with the first sample
    payload, _ = find(moov, "mvex/trex", 8)
    _, _, duration, size = struct.unpack_from(">IIII", moov, payload + 4)
    return timescale, edit_start, {"duration": duration, "size": size}


def _read_fragment(data, moof_start: int, start: int, end: int, defaults: dict[str, int]) -> list[Sample]:
    traf_start, traf_end = find(data, "traf", start, end)
    samples: list[Sample] = []
    default = dict(defaults)
    base = moof_start
    for kind, payload, _ in children(data, traf_start, traf_end):
        flags = int.from_bytes(data[payload + 1:payload + 4], "big")
        at = payload + 4
        if kind == b"tfhd":
            at += 4  # track
            if flags & _TFHD_BASE_OFFSET:
                base = struct.unpack_from(">Q", data, at)[0]
                at += 8
            at += 4 if flags & _TFHD_DESCRIPTION else 0
            for bit, name in ((_TFHD_DURATION, "duration"), (_TFHD_SIZE, "size")):
                if flags & bit:
                    default[name] = struct.unpack_from(">I", data, at)[0]
                    at += 4
        elif kind == b"trun":
            count = struct.unpack_from(">I", data, at)[0]
            at += 4
            offset = base
            if flags & _TRUN_OFFSET:
                offset += struct.unpack_from(">i", data, at)[0]
                at += 4
            at += 4 if flags & _TRUN_FIRST_FLAGS else 0
            for _ in range(count):
                values = dict(default)
                for bit, name in ((_TRUN_DURATION, "duration"), (_TRUN_SIZE, "size"), (_TRUN_FLAGS, ""), (_TRUN_CTS, "")):
                    if flags & bit:
                        if name:
                            values[name] = struct.unpack_from(">I", data, at)[0]
                        at += 4
                samples.append(Sample(offset, values["size"], values["duration"]))
                offset += values["size"]
    return samples


def segment(data, samples: list[Sample], sequence: int, decode_time: int) -> bytes:
    """One CMAF segment of one fragment: styp, moof, mdat. `decode_time` is in ticks from the track's start."""
    styp = box(b"styp", b"cmfs", struct.pack(">I", 0), b"cmfs", b"cmff", b"msdh")
    tfhd = box(b"tfhd", struct.pack(">III", _TFHD_BASE_IS_MOOF | 0x20, 1, _SYNC_SAMPLE))
    tfdt = box(b"tfdt", struct.pack(">IQ", 0x01000000, decode_time))
    table = b"".join(struct.pack(">II", sample.duration, sample.size) for sample in samples)

    def moof(data_offset: int) -> bytes:
        trun = box(b"trun", struct.pack(">IIi", _TRUN_OFFSET | _TRUN_DURATION | _TRUN_SIZE, len(samples), data_offset), table)
        return box(b"moof", box(b"mfhd", struct.pack(">II", 0, sequence)), box(b"traf", tfhd, tfdt, trun))

    head = moof(len(moof(0)) + 8)  # offsets count from the moof's first byte
    return b"".join((styp, head, box(b"mdat", *(data[one.offset:one.offset + one.size] for one in samples))))


def header(track: FragmentedTrack, average_bits: int, peak_bits: int, flac_md5: bytes | None) -> bytes:
    """The init segment: the encoder's header, without its own name in `udta` and with true numbers.

    ffmpeg writes 128 kbit/s for every FLAC and leaves the STREAMINFO without length and MD5, because it does not know
    them when it writes; we do by now.
    """
    moov = b""
    for kind, payload, end in children(track.moov, 8):
        if kind != b"udta":
            moov += track.moov[payload - 8:end]
    moov = bytearray(box(b"moov", moov))
    entry_start, entry_end = find(moov, "trak/mdia/minf/stbl/stsd", 8)
    entry = next(children(moov, entry_start + 8, entry_end))
    for kind, payload, _ in children(moov, entry[1] + 28, entry[2]):
        if kind == b"btrt":
            struct.pack_into(">III", moov, payload, 0, peak_bits, average_bits)
        elif kind == b"dfLa" and flac_md5 is not None:
            info = payload + 8  # version and flags, metadata block header
            packed = int.from_bytes(moov[info + 10:info + 18], "big") >> 36 << 36
            moov[info + 10:info + 18] = (packed | track.duration()).to_bytes(8, "big")
            moov[info + 18:info + 34] = flac_md5
    return track.ftyp + bytes(moov)
