"""`./dev run` as a program, on music of a user's own that is short: fixtures to start it, and what it must not leave behind."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from demo_support import DEMO, REPOSITORY, Children, make_short_album, node_program, write_tone

import run as demo
from serve import authority, docroot, node, origin, ports, signing


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
        environment = {**os.environ, "TMPDIR": str(place), "NEARFIELD_CACHE": str(album_folder.parent / "kept"), **(env or {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        process = subprocess.Popen(argv, start_new_session=True, env=environment, **options)
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


class SecureAlbum:
    """The short album behind a node that speaks https, open and signed."""

    def __init__(self, place: Path, program: Path, children: Children):
        modules = docroot.ensure_node_modules(REPOSITORY, children, print)
        self.made = make_short_album(place / "cache", place / "input", children)
        self.signer = signing.Signer()
        self.root = docroot.lay_out(place, self.made.folder, self.made.key, modules, self.signer)
        _, origin_port = origin.start(place / "origin", self.root, children)
        self.origin_log = place / "origin" / "access.log"
        self.identity = demo.Identity(authority.Authority(place / "authority"), place / "identity", [])
        self.port = ports.any_free()
        self.node = node.start(program, place / "node", children, port=ports.any_free(), origin_port=origin_port, ram="256M", workers=1,
                               https=node.Https(self.port, self.identity.leaf), signed_by=self.signer.write_public_keys(place / "signing.jwks"))
        self.url = f"https://localhost:{self.port}/"

    def context(self) -> ssl.SSLContext:
        """That of a client that trusts the authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.identity.authority.certificate_file))


@pytest.fixture(scope="module")
def served_securely(tmp_path_factory, program) -> Iterator[SecureAlbum]:
    children = Children()
    try:
        yield SecureAlbum(tmp_path_factory.mktemp("secure"), program, children)
        assert children.first_dead() is None, children.first_dead().describe_exit()
    finally:
        children.stop_all()


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
