"""`./dev run` as a program, on music of a user's own that is short: fixtures to start it, and what it must not leave behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from demo_support import DEMO, Children, node_program, write_tone


@pytest.fixture(scope="module")
def program() -> Path:
    found = node_program()
    assert found.is_file(), f"{found} is not built: `./dev build` first"
    return found


@pytest.fixture(scope="module")
def album_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "Tones"
    folder.mkdir()
    children = Children()
    write_tone(folder / "one.wav", children, rate_hz=44_100, bits=16, seconds=8)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """The folder for temporary files of this test's runs and of nobody else's; short, as sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="nf-") as folder:
        yield Path(folder)


@pytest.fixture
def run(program, album_folder, place):
    """Starts run.py on the tones, with its output in a pipe unless told otherwise; through `wrapper`, a program that becomes what it is given."""
    started: list[subprocess.Popen] = []

    def start(*arguments: str, wrapper: Sequence[str] = (), env: dict[str, str] | None = None, **options) -> subprocess.Popen:
        argv = [*wrapper, sys.executable, DEMO / "run.py", "--node", program, "--album", album_folder, "--cache", album_folder.parent / "cache",
                *arguments]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        process = subprocess.Popen(argv, start_new_session=True, env={**os.environ, "TMPDIR": str(place), **(env or {})}, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        belongings = descendants(process.pid)
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
        assert gone(belongings)  # they write into `place` until they end


def read_until(process: subprocess.Popen, pattern: str, timeout_s: float = 60) -> str:
    """Reads lines until one matches; the process's own limits end this if nothing comes."""
    said = ""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        said += line
        if re.search(pattern, line):
            return said
        if not line:
            break
    raise AssertionError(f"no line matches {pattern!r} in:\n{said}")


def work_folder(said: str) -> Path:
    return Path(re.search(r"control socket: (\S+)/node/control.sock", said)[1])


def descendants(pid: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def gone(pids: set[int], timeout_s: float = 10) -> bool:
    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    deadline = time.monotonic() + timeout_s
    while any(lives(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
