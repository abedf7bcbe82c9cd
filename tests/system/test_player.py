"""The main job as a listener has it: a real browser plays the album through a node, and every byte is the origin's.

Chromium opens the listening page itself, so the page, hls.js, Shaka, the node, nginx and the album are all in the path. A
first sample is one that an AudioWorklet heard; a rebuffer is `waiting` after the first `playing`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import urllib.request
from pathlib import Path

import pytest
from demo_support import DEMO, REPOSITORY, Children, make_short_album
from run_support import album_folder, descendants, gone, place, program, read_until, run, work_folder  # noqa: F401

import run as demo
import scratch
from serve import counters, docroot, node, origin, player_check, ports

START_UP_LIMIT_MS = 5000
# Seconds beyond 4 reach into the second segment. The short album's first track is 24/96 and of our own making, its second a
# user's CD-quality file.
CASES = [player_check.Case("hls", 0, "flac-24-96", 4.6), player_check.Case("hls", 1, "flac-16-44", 1.5), player_check.Case("hls", 1, "opus-160", 1.5),
         player_check.Case("hls", 0, "iamf-5.1", 1.5), player_check.Case("shaka", 1, "flac-16-44", 4.6), player_check.Case("shaka", 0, "flac-24-96", 1.5),
         player_check.Case("shaka", 0, "opus-160", 1.5), player_check.Case("shaka", 0, "iamf-5.1", 4.6)]


@pytest.fixture(scope="module")
def served(tmp_path_factory, program):
    """The short album behind a node: (address of the page, document root, node)."""
    place = tmp_path_factory.mktemp("player")
    children = Children()
    try:
        modules = docroot.ensure_node_modules(REPOSITORY, children, print)
        made = make_short_album(place / "cache", place / "input", children)
        root = docroot.lay_out(place, made.folder, made.key, modules)
        _, origin_port = origin.start(place / "origin", root, children)
        started = node.start(program, place / "node", children, port=ports.any_free(), origin_port=origin_port, ram="256M", workers=1)
        yield f"http://127.0.0.1:{started.port}/", root, started
        assert children.first_dead() is None, children.first_dead().describe_exit()
    finally:
        children.stop_all()


@pytest.fixture(scope="module")
def outcomes(served) -> dict[player_check.Case, player_check.Outcome]:
    children = Children()
    url, root, _ = served
    try:
        found = dict(zip(CASES, player_check.run(url, root, CASES, children, timeout_s=150)))
        # A browser that a busy machine kept waiting gets a second chance; a byte that differs does not.
        late = [case for case, outcome in found.items() if is_late(outcome)]
        if late:
            found.update(zip(late, player_check.run(url, root, late, children, timeout_s=150)))
        return found
    finally:
        children.stop_all()


def is_late(outcome: player_check.Outcome) -> bool:
    slow = outcome.startup_ms is None or outcome.startup_ms >= START_UP_LIMIT_MS or outcome.rebuffers > 0
    return slow and not any("origin" in fault or "status" in fault or "another rendition" in fault for fault in outcome.faults)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.engine}-{case.rendition}")
def test_plays_without_a_gap_and_to_the_byte(outcomes, case):
    outcome = outcomes[case]
    assert outcome.faults == []
    assert outcome.startup_ms is not None and 0 < outcome.startup_ms < START_UP_LIMIT_MS
    assert outcome.rebuffers == 0
    assert outcome.channels == 2  # what Chromium decodes to on a machine with stereo output, 5.1 included
    assert outcome.bytes_received > 50_000


def test_the_node_says_where_each_segment_came_from(outcomes, served):
    statuses = [status for outcome in outcomes.values() for status in outcome.cache_statuses]
    assert statuses and all(statuses)
    assert any(re.search(r";\s*hit\b", status) for status in statuses)  # a rendition was played twice
    assert any("fwd=" in status for status in statuses)  # and each once for the first time
    reading = counters.read(served[2].control)
    assert reading.requests > 50 and reading.hits > 0 and reading.sent_bytes > reading.origin_bytes > 1_000_000


def test_the_end_of_what_played_before_is_no_first_sample():
    """The tap answers from another thread: its answer to an earlier arm() may come after a later one."""
    script = """
        import { Sound } from './sound.js';
        const sound = new Sound(null), asked = [];
        sound.tap = { port: { postMessage: ({ arm }) => asked.push(arm) } };
        let heard = 0;
        const listen = () => { const armed = sound.arm(); sound.firstSample().then(() => heard++); return armed; };
        listen();
        sound.hear({ armed: asked[0] });
        const armed = listen();
        sound.hear({ firstSample: asked[0], channels: 6 });
        await null;
        console.log(heard, sound.channels);
        sound.hear({ armed: asked[1] });
        await armed;
        sound.hear({ firstSample: asked[1], channels: 2 });
        await null;
        console.log(heard, sound.channels);
    """
    said = subprocess.run(["node", "--input-type=module", "-e", script.replace("./sound.js", (DEMO / "player" / "sound.js").as_uri())], check=True,
                          capture_output=True, text=True, timeout=30)
    assert said.stdout.split("\n")[:2] == ["0 0", "1 2"], said


def test_the_node_keeps_segments_and_the_browser_does_not(served):
    """Or else whoever plays a track again would see what the browser kept, and never a hit of the node."""
    url, root, _ = served
    listing = json.loads((root / "album.json").read_text())
    address = f"{url}{listing['base']}02/opus-160/00001.m4s"
    for _ in range(2):
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            status = answer.headers["Cache-Status"]
            assert answer.read() == (root / listing["base"] / "02/opus-160/00001.m4s").read_bytes()
    assert re.search(r";\s*hit\b", status), status


# --- ./dev run as a program ------------------------------------------------------------------------------------------------


def test_run_makes_plays_and_ends(run):
    said, _ = run("--once").communicate(timeout=90)
    assert "hls.js plays flac-16-44: first sample after" in said, said
    assert "Shaka plays iamf-5.1: first sample after" in said, said
    assert "Listen: http://127.0.0.1:" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(run, place, number):
    process = run("--no-player-check")
    said = read_until(process, r"^node: .* requests")
    url = re.search(r"Listen: (\S+)", said)[1]
    album = json.load(urllib.request.urlopen(url + "album.json", timeout=5))
    assert [track["title"] for track in album["tracks"]] == ["one"]
    belongings = descendants(process.pid)
    assert len(belongings) >= 3  # nginx, its worker, the node
    assert work_folder(said).parent == place
    process.send_signal(number)
    assert process.wait(20) == 0
    assert gone(belongings)
    assert list(place.iterdir()) == []


def test_ctrl_c_in_a_terminal_stops_everything(run, place):
    """The line of the node is redrawn in place, and fits a narrow window."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    process = run("--no-player-check", stdin=theirs, stdout=theirs, stderr=theirs,
                  preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0))
    os.close(theirs)
    said = read_terminal(ours, process, until=rb"\r\x1b\[Knode: \d+ requests")
    assert len(re.findall(r"node: [^\r\n]*", said)[-1]) < 60
    belongings = descendants(process.pid)
    os.write(ours, b"\x03")
    said += read_terminal(ours, process)
    os.close(ours)
    assert process.wait(20) == 0, said
    assert said.endswith("\r\x1b[Kstopping\r\n"), said[-300:]
    assert gone(belongings)
    assert list(place.iterdir()) == []


def read_terminal(terminal: int, process: subprocess.Popen, until: bytes | None = None, timeout_s: float = 60) -> str:
    """What the process says until it matches, or until it has left the terminal."""
    said = b""
    deadline = time.monotonic() + timeout_s
    while not (until and re.search(until, said)):
        assert time.monotonic() < deadline, said
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            said += os.read(terminal, 4096)
        except OSError:  # nobody has the other end open
            assert until is None, said
            break
    return said.decode()


def test_even_a_killed_run_leaves_no_process(run, place):
    process = run("--no-player-check")
    alive = run("--no-player-check")
    left = work_folder(read_until(process, "Listen: "))
    kept = work_folder(read_until(alive, "Listen: "))
    belongings = descendants(process.pid)
    assert len(belongings) >= 3  # nginx, its worker, the node
    process.kill()
    process.wait(10)
    assert gone(belongings)
    assert left.is_dir()
    # The next run removes its folder, too, but not that of one that lives.
    again = run("--no-player-check")
    read_until(again, "Ctrl-C")
    assert not left.exists() and kept.is_dir()
    for one in (again, alive):
        one.send_signal(signal.SIGINT)
        assert one.wait(20) == 0
    assert list(place.iterdir()) == []


def test_runs_of_the_same_moment_get_ports_of_their_own(run):
    all_three = [run("--no-player-check") for _ in range(3)]
    addresses = {re.search(r"Listen: (\S+)", read_until(each, "Listen: "))[1] for each in all_three}
    assert len(addresses) == 3
    for each in all_three:
        each.send_signal(signal.SIGINT)
        assert each.wait(20) == 0


def test_an_interrupt_at_the_moment_the_address_is_told_is_a_good_end(monkeypatch, tmp_path):
    told = []

    def note(_, text: str) -> None:
        told.append(text)
        if "Listen: " in text:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(demo.Progress, "note", note)
    monkeypatch.setattr(demo, "start", lambda *_: demo.Running("http://127.0.0.1:1/", None, tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        assert demo.main(["--no-player-check"]) == 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert told[-1] == "stopping"


def test_scratch_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    with scratch.folder("test", tmp_path) as alive:
        (alive / "file").touch()
        dead = tmp_path / "nearfield-test-dead"
        dead.mkdir()
        (dead / "lock").touch()
        other = tmp_path / "nearfield-other-dead"
        other.mkdir()
        (other / "lock").touch()
        with scratch.folder("test", tmp_path) as second:
            assert sorted(tmp_path.iterdir()) == sorted([alive, second, other])
        assert (alive / "file").exists() and not second.exists()
    assert list(tmp_path.iterdir()) == [other]


def test_a_dead_node_is_reported(run):
    process = run("--no-player-check")
    read_until(process, r"^node: .* requests")
    victim = next((pid for pid in descendants(process.pid) if b"node.toml" in Path(f"/proc/{pid}/cmdline").read_bytes()), None)
    assert victim, "no node among run's children"
    os.kill(victim, signal.SIGKILL)
    said = read_until(process, "the node .* was ended by SIGKILL")
    assert process.wait(20) == 1, said


def test_a_port_in_use_is_named_or_avoided(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, _ = run("--port", str(port), "--no-player-check").communicate(timeout=60)
        assert f"port {port} on 127.0.0.1 is in use" in said and "--port" in said


def test_bad_arguments_are_named(run):
    for arguments, complaint in ((("--port", "70000"), "a port is a number"), (("--ram", "lots"), "want a size"), (("--workers", "0"), "want a number"),
                                 (("--node", "/nowhere"), "not built"), (("--album", "/nowhere"), "no such folder")):
        process = run(*arguments)
        said, _ = process.communicate(timeout=60)
        assert complaint in said, said
        assert process.returncode in (1, 2)
        assert "Traceback" not in said
