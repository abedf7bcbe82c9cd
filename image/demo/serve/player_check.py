"""Lets a real browser play the album through the node and holds every byte it received against the origin's files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import scratch
from children import Children, ToolError

from . import signing
from .authority import Leaf

_DRIVER = Path(__file__).resolve().parent.parent / "play.mjs"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Case:
    engine: str  # "hls" or "shaka"
    track: int  # counted from 0
    rendition: str
    seconds: float = 5.0
    album: str = ""  # "signed": that with signed addresses


@dataclass
class Outcome:
    case: Case
    startup_ms: float | None
    rebuffers: int
    channels: int
    played_s: float
    files_received: int
    bytes_received: int
    cache_statuses: list[str | None]
    protocols: list[str]  # of the responses, as browsers name them: "http/1.1", "h2"
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        name = {"hls": "hls.js", "shaka": "Shaka"}.get(self.case.engine, self.case.engine)
        start = f"first sample after {self.startup_ms:.0f} ms" if self.startup_ms is not None else "no sound"
        text = (f"{name} plays {self.case.rendition}: {start}, {self.rebuffers} rebuffers in {self.played_s:.1f} s, {self.files_received} files "
                f"({self.bytes_received / 1e6:.1f} MB{', signed' if self.case.album else ''}, over {' and '.join(self.protocols)}) equal to the origin's")
        return text if not self.faults else f"{name}, {self.case.rendition}: " + "; ".join(self.faults)


def find_browser() -> str | None:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def run(url: str, docroot: Path, cases: list[Case], children: Children, *, trusted: Leaf | None = None, screenshot: Path | None = None,
        timeout_s: float = 300) -> list[Outcome]:
    """`trusted`: whom the browser believes without knowing the authority. Raises ToolError when there is no browser or it does not start."""
    browser = find_browser()
    if not browser or not shutil.which("node"):
        raise ToolError("chromium or node is not installed")
    asked = {"url": url, "chromium": browser, "cases": [vars(case) for case in cases]}
    if trusted:
        asked["trusted"] = trusted.key_digest()
    if screenshot:
        asked["screenshot"] = str(screenshot)
    # The browser's profile lies in memory: a disk that is busy elsewhere must not look like a slow node.
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    with scratch.folder("browser", memory) as profile:
        said = children.run([shutil.which("node"), str(_DRIVER), json.dumps(asked)], timeout_s=timeout_s,
                            env={**os.environ, "TMPDIR": str(profile), "HOME": str(profile)})
    lines = [json.loads(line) for line in said.stdout.decode().splitlines() if line.startswith("{")]
    if len(lines) != len(cases):
        raise ToolError(f"the browser ended after {len(lines)} of {len(cases)} cases")
    wanted = "h2" if url.startswith("https:") else "http/1.1"
    return [_judge(case, line, docroot, wanted) for case, line in zip(cases, lines)]


def _judge(case: Case, line: dict, docroot: Path, protocol: str) -> Outcome:
    outcome = Outcome(case, line.get("startupMs"), line.get("rebuffers") or 0, line.get("channels") or 0, line.get("played") or 0.0, 0, 0,
                      line.get("statuses") or [], line.get("protocols") or [])
    if outcome.protocols != [protocol]:
        outcome.faults.append(f"spoke {' and '.join(outcome.protocols) or 'nothing'} instead of {protocol}")
    if line.get("trouble"):
        outcome.faults.append(line["trouble"])
    outcome.faults += line["complaints"]
    if outcome.startup_ms is None:
        outcome.faults.append("no sound was heard")
    if outcome.rebuffers:
        outcome.faults.append(f"{outcome.rebuffers} rebuffers")
    if outcome.played_s < case.seconds:
        outcome.faults.append(f"played {outcome.played_s:.1f} of {case.seconds:.1f} s")
    media = 0
    for answer in line["received"]:
        file = docroot / signing.without_token(answer["path"]).lstrip("/")
        if answer["status"] not in (200, 206):
            outcome.faults.append(f"{answer['path']}: status {answer['status']}")
        elif not file.is_file():
            outcome.faults.append(f"{answer['path']}: the origin has no such file")
        elif answer["status"] == 200 and hashlib.sha256(file.read_bytes()).hexdigest() != answer["sha256"]:
            outcome.faults.append(f"{answer['path']}: differs from the origin's file")
        else:
            outcome.files_received += 1
            outcome.bytes_received += answer["bytes"]
            media += answer["path"].endswith(".m4s") and f"/{case.rendition}/" in answer["path"]
    others = [answer["path"] for answer in line["received"] if answer["path"].endswith(".m4s") and f"/{case.rendition}/" not in answer["path"]]
    if others:
        outcome.faults.append(f"fetched segments of another rendition: {others[0]}")
    if not media:
        outcome.faults.append("no segment of the rendition was received whole")
    return outcome
