"""The album as it is packaged: segments, manifests and sound are held against the source by other people's tools."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import wave
import xml.etree.ElementTree as xml
from fractions import Fraction
from pathlib import Path

import pytest
from demo_support import Children, albums, boxes_of, descendant, make_short_album, source, write_tone

from cmaf import boxes, encode
from cmaf.manifests import Rendition, media_playlist
from music import cover, midi, notes, pieces, render
from progress import Progress
from serve import counters, docroot, ports

DASH = "{urn:mpeg:dash:schema:mpd:2011}"
TONE_SAMPLES = 427_770  # 9.7 s at 44.1 kHz
RENDITIONS = {  # of each track, with what they must be called
    "01": {"flac-16-44": "fLaC", "flac-24-96": "fLaC", "opus-160": "Opus", "iamf-5.1": "iamf.000.000.Opus"},
    "02": {"flac-16-44": "fLaC", "opus-160": "Opus", "iamf-5.1": "iamf.000.000.Opus"},
}


def quiet() -> Progress:
    return Progress(open(os.devnull, "w"))


@pytest.fixture(scope="module")
def children():
    held = Children()
    yield held
    held.stop_all()


@pytest.fixture(scope="module")
def album(tmp_path_factory, children) -> albums.MadeAlbum:
    place = tmp_path_factory.mktemp("album")
    return make_short_album(place / "cache", place / "input", children)


def all_renditions():
    return [pytest.param(track, name, id=f"{track}-{name}") for track, names in RENDITIONS.items() for name in names]


def whole(folder: Path) -> bytes:
    """Init segment and media segments as a player would feed them to a decoder."""
    return b"".join(path.read_bytes() for path in [folder / "init.mp4", *sorted(folder.glob("*.m4s"))])


def probe_packets(data: bytes, tmp_path: Path) -> tuple[list[int], int, bool]:
    """Returns the decode times of all packets, the track's end, and whether every packet can be decoded by itself."""
    file = tmp_path / "whole.mp4"
    file.write_bytes(data)
    said = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "packet=dts,flags:stream=duration_ts", "-of", "json",
                           file], check=True, capture_output=True, timeout=60)
    assert not said.stderr, said.stderr
    answer = json.loads(said.stdout)
    packets = answer["packets"]
    return ([int(one["dts"]) for one in packets], int(answer["streams"][0]["duration_ts"]), all("K" in one["flags"] for one in packets))


def test_every_rendition_is_there(album):
    for track, names in RENDITIONS.items():
        assert {path.name for path in (album.folder / track).iterdir() if path.is_dir()} == set(names)
    assert [one["title"] for one in album.description["tracks"]] == ["Canon, opening", "Tone"]
    assert (album.folder / "cover.svg").read_text().startswith("<svg")
    assert not list(album.folder.glob("work-*"))


@pytest.mark.parametrize("track,name", all_renditions())
def test_segments_are_cmaf(album, track, name):
    folder = album.folder / track / name
    init = boxes_of((folder / "init.mp4").read_bytes())
    assert [kind for kind, _ in init] == ["ftyp", "moov"]
    assert b"cmfc" in init[0][1]
    assert "mvex" in [kind for kind, _ in boxes_of(init[1][1])]
    at = 0
    segments = sorted(folder.glob("*.m4s"))
    assert [path.name for path in segments] == [f"{number:05d}.m4s" for number in range(1, len(segments) + 1)]
    for number, path in enumerate(segments, 1):
        parts = boxes_of(path.read_bytes())
        assert [kind for kind, _ in parts] == ["styp", "moof", "mdat"]
        moof, mdat = parts[1][1], parts[2][1]
        assert struct.unpack(">I", descendant(moof, "mfhd")[4:])[0] == number
        assert struct.unpack(">Q", descendant(moof, "traf", "tfdt")[4:])[0] == at
        trun = descendant(moof, "traf", "trun")
        count, offset = struct.unpack_from(">Ii", trun, 4)
        table = [struct.unpack_from(">II", trun, 12 + 8 * index) for index in range(count)]
        assert offset == len(moof) + 8 + 8  # the data begins with mdat's payload
        assert sum(size for _, size in table) == len(mdat)
        at += sum(duration for duration, _ in table)


@pytest.mark.parametrize("track,name", all_renditions())
def test_a_demuxer_finds_the_same_samples(album, track, name, tmp_path):
    folder = album.folder / track / name
    times, end, independent = probe_packets(whole(folder), tmp_path)
    playlist = (folder / "media.m3u8").read_text()
    stated = [Fraction(value) for value in re.findall(r"#EXTINF:([\d.]+),", playlist)]
    described = album.description["tracks"][int(track) - 1]["renditions"]
    rate = next(one["sample_rate_hz"] for one in described if one["name"] == name)
    frame = 4096 if name.startswith("flac") else 960
    assert independent
    assert all(after - before == frame for before, after in zip(times, times[1:]))
    assert times[0] == (0 if name.startswith("flac") else -312)
    assert abs(sum(stated) - Fraction(end + times[0], rate)) < Fraction(1, 1_000_000)  # what is skipped at the beginning is not heard
    for number in range(1, len(stated)):  # each segment begins where the playlist says, with a packet
        assert round(sum(stated[:number]) * rate) in times


def test_a_short_end_is_no_segment_of_its_own():
    def runs(packets: int, last: int = 960) -> list[int]:
        samples = [boxes.Sample(at, 1, 960) for at in range(packets - 1)] + [boxes.Sample(packets, 1, last)]
        return [sum(sample.duration for sample in run) for run in encode._segments(samples, 960, 48_000)]

    assert runs(401, 312) == [192_000, 192_312]  # 8 s of Opus: a segment that begins at 8 s would never be fetched
    assert runs(419) == [192_000, 192_000 + 19 * 960]
    assert runs(420) == [192_000, 192_000, 20 * 960]
    assert runs(3) == [3 * 960]


def test_lengths_are_the_sources_to_the_sample(album):
    timeline = xml.parse(album.folder / "02" / "manifest.mpd").getroot().find(f".//{DASH}SegmentTimeline")
    ticks = [(int(one.get("d")), int(one.get("r", 0)) + 1) for one in timeline]
    assert sum(duration * times for duration, times in ticks) == TONE_SAMPLES
    assert ticks[0][0] == 176_128  # 43 FLAC frames, about 4 s
    packaged = album.description["tracks"][1]
    assert packaged["duration_s"] == pytest.approx(9.7, abs=1e-6)


@pytest.mark.parametrize("depth,rate,name", [(16, 44_100, "flac-16-44"), (24, 96_000, "flac-24-96"), (24, 192_000, "flac-24-192")])
def test_flac_is_bit_exact(tmp_path, children, depth, rate, name):
    """Decoded by another decoder than the one that encoded, whose own MD5 check reads the one we put in the header."""
    wav = write_tone(tmp_path / "in.wav", children, rate_hz=rate, bits=depth, seconds=4.6)
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    encode._flac(wav, out, work, children)
    (tmp_path / "whole.mp4").write_bytes(whole(out / name))
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", tmp_path / "whole.mp4", "-c", "copy", "-f", "flac", tmp_path / "whole.flac"],
                   check=True, timeout=60)
    subprocess.run(["flac", "--silent", "--decode", "--force", "-o", tmp_path / "out.wav", tmp_path / "whole.flac"], check=True, timeout=60)
    with wave.open(str(wav)) as before, wave.open(str(tmp_path / "out.wav")) as after:
        assert before.getparams()[:4] == after.getparams()[:4]
        assert before.readframes(10**9) == after.readframes(10**9)
        before.rewind()
        pcm_md5 = hashlib.md5(before.readframes(10**9)).digest()
    init = (out / name / "init.mp4").read_bytes()
    info = init[init.index(b"dfLa") + 12:][:34]
    assert info[18:34] == pcm_md5
    assert int.from_bytes(info[10:18], "big") & (2**36 - 1) == round(4.6 * rate)


def test_a_cd_source_is_packaged_as_it_is(album, tmp_path):
    """Sixteen bits at 44.1 kHz are neither dithered nor resampled."""
    (tmp_path / "whole.mp4").write_bytes(whole(album.folder / "02" / "flac-16-44"))
    pcm = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", tmp_path / "whole.mp4", "-f", "s16le", "-"], check=True, capture_output=True,
                         timeout=60).stdout
    tone = album.folder.parent.parent / "input" / "tone.wav"
    with wave.open(str(tone)) as before:
        assert before.readframes(10**9) == pcm


def test_hls_says_what_the_segments_are(album):
    for track, names in RENDITIONS.items():
        folder = album.folder / track
        master = (folder / "master.m3u8").read_text()
        variants = dict(re.findall(r'#EXT-X-STREAM-INF:([^\n]*)\n(\S+)', master))
        assert sorted(variants.values()) == sorted(f"{name}/media.m3u8" for name in names)
        for attributes, uri in variants.items():
            name = uri.split("/")[0]
            assert f'CODECS="{names[name]}"' in attributes
            lines = (folder / uri).read_text().splitlines()
            target = int(next(line.split(":")[1] for line in lines if line.startswith("#EXT-X-TARGETDURATION")))
            lengths = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF")]
            sizes = [(folder / name / line).stat().st_size for line in lines if line.endswith(".m4s")]
            assert len(lengths) == len(sizes) > 1 and lines[-1] == "#EXT-X-ENDLIST"
            assert max(round(length) for length in lengths) <= target
            average = int(re.search(r"AVERAGE-BANDWIDTH=(\d+)", attributes)[1])
            peak = int(re.search(r":?BANDWIDTH=(\d+)", attributes)[1])
            assert average == pytest.approx(sum(sizes) * 8 / sum(lengths), rel=1e-5)
            assert all(peak >= size * 8 / length - 1 for size, length in zip(sizes, lengths) if length >= target / 2)
            assert peak <= max(size * 8 / length for size, length in zip(sizes, lengths)) + 1


def test_dash_says_the_same_as_hls(album):
    for track, names in RENDITIONS.items():
        folder = album.folder / track
        root = xml.parse(folder / "manifest.mpd").getroot()
        master = (folder / "master.m3u8").read_text()
        assert root.get("type") == "static"
        stated = Fraction(root.get("mediaPresentationDuration")[2:-1])
        found = {}
        for adaptation in root.iter(f"{DASH}AdaptationSet"):
            representation = adaptation.find(f"{DASH}Representation")
            template = adaptation.find(f"{DASH}SegmentTemplate")
            name = representation.get("id")
            found[name] = representation.get("codecs")
            assert f"BANDWIDTH={representation.get('bandwidth')}," in master
            count, at = 0, 0
            for one in template.iter(f"{DASH}S"):
                assert int(one.get("t")) == at
                times = int(one.get("r", 0)) + 1
                count += times
                at += times * int(one.get("d"))
            assert count == len(list((folder / name).glob("*.m4s")))
            assert abs(Fraction(at, int(template.get("timescale"))) - stated) < Fraction(1, 1000)
            value = adaptation.find(f".//{DASH}AudioChannelConfiguration").get("value")
            assert value == ("6" if name.startswith("iamf") else "2")
        assert found == names


def test_the_spatial_rendition_has_six_channels_in_four_substreams(album, tmp_path):
    (tmp_path / "whole.mp4").write_bytes(whole(album.folder / "01" / "iamf-5.1"))
    said = subprocess.run(["ffprobe", "-v", "error", "-show_stream_groups", "-of", "json", tmp_path / "whole.mp4"], check=True, capture_output=True,
                          timeout=60)
    groups = json.loads(said.stdout)["stream_groups"]
    element = next(group for group in groups if group["type"] == "IAMF Audio Element")
    assert element["nb_streams"] == 4
    assert "5.1" in json.dumps(element)


def test_parts_are_seated_where_the_score_says():
    gains = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)\*c0", render.surround_pan(notes.Part("x", 0, -110.0, width=0)))}
    assert max(gains, key=gains.get) == "BL"
    left = render._speaker_gains(-30)
    assert left == {"FL": pytest.approx(1), "FC": pytest.approx(0)} or left == {"BL": pytest.approx(0, abs=1e-9), "FL": pytest.approx(1)}
    for azimuth in range(-180, 180, 7):
        assert sum(gain * gain for gain in render._speaker_gains(azimuth).values()) == pytest.approx(1)


def test_the_score_adds_up():
    assert [piece.composer.split()[-1] for piece in pieces.album()] == ["Bach", "Pachelbel", "Petzold", "Beethoven"]
    for piece in pieces.album():
        assert 45 <= piece.duration_s() <= 95
        assert all(20 < note.pitch < 110 and note.length > 0 for part in piece.parts for note in part.notes)
    assert all(notes.parse(line)[1] == 8 for line in pieces._CANON)
    assert notes.parse(pieces._MINUET_UPPER)[1] == notes.parse(pieces._MINUET_LOWER)[1] == 96
    assert notes.parse(pieces._ODE)[1] == len(pieces._ODE_CHORDS) == 64
    assert [notes.pitch_number(name) for name in ("C4", "A4", "Bb3", "F#2")] == [60, 69, 58, 42]
    with pytest.raises(ValueError):
        notes.pitch_number("H2")


def test_midi_files_are_well_formed(tmp_path):
    piece = pieces.minuet()
    midi.write_part(tmp_path / "part.mid", piece, piece.parts[0])
    data = (tmp_path / "part.mid").read_bytes()
    assert data[:4] == b"MThd" and data[14:18] == b"MTrk"
    assert struct.unpack(">I", data[18:22])[0] == len(data) - 22
    assert data.endswith(b"\xff\x2f\x00")


def test_a_made_album_is_opened_again_and_not_remade(album, tmp_path, children, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(albums, "_build", forbidden)
    again = make_short_album_again(album, children)
    assert again.key == album.key and again.folder == album.folder


def make_short_album_again(album, children) -> albums.MadeAlbum:
    from demo_support import short_piece

    tone = album.folder.parent.parent / "input" / "tone.wav"
    tracks = [source.Track("Canon, opening", "Johann Pachelbel", short_piece(), None), source.Track("Tone", "nobody", None, tone)]
    return albums.make(source.Album("Short", "Test", tracks, None, []), album.folder.parent, children, quiet())


def test_a_users_folder(tmp_path, children):
    """Tags, order and cover are taken over; a file that is no music is left out by name, a broken one too."""
    folder = tmp_path / "My Album"
    folder.mkdir()
    for number, title in ((2, "Second"), (1, "First")):
        file = write_tone(folder / f"{title}.flac", children, rate_hz=48_000, bits=24, seconds=1.2)
        subprocess.run(["metaflac", f"--set-tag=TITLE={title}", f"--set-tag=TRACKNUMBER={number}", "--set-tag=ALBUM=Two Tones", "--set-tag=ARTIST=Me", file],
                       check=True, timeout=30)
    (folder / "empty.flac").write_bytes(b"")
    broken = bytearray((folder / "First.flac").read_bytes())
    broken[len(broken) // 2:len(broken) // 2 + 4000] = bytes(4000)
    (folder / "torn.flac").write_bytes(broken)
    (folder / "words.wav").write_text("hello\n")
    (folder / "cover.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = source.album_of(folder, children)
    assert (found.title, found.artist) == ("Two Tones", "Me")
    assert [track.title for track in found.tracks if track.file.name != "torn.flac"] == ["First", "Second"]
    assert [reason.split(":")[0] for reason in found.skipped] == ["empty.flac", "words.wav"]

    made = albums.make(found, tmp_path / "cache", children, quiet())
    assert [track["title"] for track in made.description["tracks"]] == ["First", "Second"]
    assert [one["name"] for one in made.description["tracks"][0]["renditions"]] == ["flac-16-44", "flac-24-48", "opus-160", "iamf-5.1"]
    assert any("torn.flac" in reason for reason in made.description["skipped"])
    assert "0x" not in str(made.description["skipped"])  # an address in ffmpeg's memory tells nobody anything
    assert made.description["cover"] == "cover.png"


def test_folders_without_music_say_so(tmp_path, children):
    with pytest.raises(source.SourceError, match="no such folder"):
        source.album_of(tmp_path / "nowhere", children)
    with pytest.raises(source.SourceError, match="no .flac or .wav"):
        source.album_of(tmp_path, children)
    (tmp_path / "noise.wav").write_bytes(os.urandom(5000))
    with pytest.raises(source.SourceError, match="none of its 1 files"):
        source.album_of(tmp_path, children)


def test_trouble_leaves_nothing_half_made(tmp_path, monkeypatch):
    children, cache = Children(), tmp_path / "cache"
    tracks = [source.Track("Tone", "nobody", None, write_tone(tmp_path / "tone.wav", children, rate_hz=44_100, bits=16, seconds=1))]
    asked = source.Album("A", "B", tracks, None, [])

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(albums, "package", full)
        with pytest.raises(source.SourceError, match="disk full"):
            albums.make(asked, cache, children, quiet())
    assert list(cache.iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(albums.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
        with pytest.raises(source.SourceError, match="GB free"):
            albums.make(asked, cache, Children(), quiet())
    with monkeypatch.context() as patched:
        patched.setattr(render, "find_sound_font", lambda: None)
        with pytest.raises(source.SourceError, match="no sound font"):
            albums.make(source.own_album(), cache, Children(), quiet())
    assert list(cache.iterdir()) == []


def test_old_albums_make_room_unless_somebody_plays_them(tmp_path):
    for number in range(7):
        folder = tmp_path / f"{number:016x}"
        folder.mkdir()
        (folder / "album.json").write_text("{}")
        os.utime(folder, (number, number))
    held = albums._open(tmp_path / f"{0:016x}", "0")  # opening makes it the most recent, and locks it
    os.utime(held.folder, (0, 0))
    albums._make_room(tmp_path, keep=f"{6:016x}")
    assert sorted(int(path.name, 16) for path in tmp_path.iterdir()) == [0, 3, 4, 5, 6]
    (tmp_path / "making-dead").mkdir()
    (tmp_path / "making-dead" / ".lock").touch()
    albums._remove_leftovers(tmp_path)
    assert not (tmp_path / "making-dead").exists()
    os.close(held._lock)


def test_a_truncated_file_is_an_error_and_not_a_short_track(album):
    folder = album.folder / "02" / "flac-16-44"
    data = whole(folder)
    track = boxes.read_fragmented(data)
    assert track.duration() == TONE_SAMPLES
    for cut in (len(data) - 1, len(data) // 2, 100):
        with pytest.raises(boxes.BoxError):
            boxes.read_fragmented(data[:cut])


def test_peak_bandwidth_counts_runs_of_short_segments():
    one = Rendition("x", "x", "fLaC", 1000, 16, 2, 1000, (4000, 4000, 1000), (1000, 4000, 3000))
    assert one.average_bits() == round(8000 * 8 / 9)
    assert one.peak_bits() == round(7000 * 8 / 5)  # the last two together, 5 s; the last alone is too short to count
    assert "#EXT-X-TARGETDURATION:4" in media_playlist(one)


def test_ports_move_only_when_they_may():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ports.PortTaken, match=str(port)):
            with ports.chosen("127.0.0.1", port, may_move=False):
                pass
        with ports.chosen("127.0.0.1", port, may_move=True) as other, ports.chosen("127.0.0.1", port, may_move=True) as third:
            assert len({port, other, third}) == 3


def test_the_live_line_reads_the_exposition_format():
    sums = counters._sums('# HELP nearfield_requests_total x\nnearfield_requests_total{worker="0"} 3\nnearfield_requests_total{worker="1"} 4\n'
                          "nearfield_sent_bytes_total 1e+06\nrubbish\n")
    assert sums == {"requests": 7, "sent_bytes": 1_000_000}
    line = counters.LiveLine()
    line.text(counters.Reading(10.0, 1, 0, 1, 0, 0))
    said = line.text(counters.Reading(12.0, 8, 6, 2, 1_000_000_000, 5_000_000))
    assert "8 requests" in said and "75.0 %" in said and "4.000 Gb/s" in said and "5.0 MB" in said
    assert "no answer" in line.text(None)


def test_the_page_lies_beside_the_album(album, tmp_path):
    modules = tmp_path / "node_modules"
    for path in ("hls.js/dist/hls.min.js", "shaka-player/dist/shaka-player.compiled.js"):
        (modules / path).parent.mkdir(parents=True)
        (modules / path).write_text("//")
    root = docroot.lay_out(tmp_path / "served", album.folder, album.key, modules)
    listing = json.loads((root / "album.json").read_text())
    assert (root / listing["base"] / listing["tracks"][0]["hls"]).is_file()
    page = (root / "index.html").read_text()
    for reference in re.findall(r'(?:src|href)="([^":]+)"', page):
        assert (root / reference).is_file(), reference
    assert not re.search(r"https?://(?!www\.w3\.org)", page + (root / "page.js").read_text() + (root / "page.css").read_text())  # works offline
    with pytest.raises(docroot.PlayersMissing):
        docroot.lay_out(tmp_path / "other", album.folder, album.key, tmp_path / "nothing")


def test_covers_differ():
    assert cover.draw("A & B", "C") != cover.draw("D", "C")
    xml.fromstring(cover.draw("A & <B>", 'C "quoted"'))
