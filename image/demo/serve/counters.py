"""Reads the node's counters from its control socket; the one place here that knows how they are named."""

from __future__ import annotations

import http.client
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_PREFIX, _SUFFIX = "nearfield_", "_total"
_LONGEST_ANSWER = 4 << 20


@dataclass(frozen=True)
class Reading:
    at: float  # monotonic seconds
    requests: int
    hits: int  # answered without waiting for an origin
    misses: int  # started or joined a fetch, or passed through
    sent_bytes: int
    origin_bytes: int

    def hit_ratio(self) -> float:
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else 0.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float):
        super().__init__("localhost", timeout=timeout_s)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def read(control: Path, timeout_s: float = 1.0) -> Reading | None:
    """Returns nothing when the node does not answer, which a busy or draining one may do."""
    connection = _UnixConnection(control, timeout_s)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        if answer.status != 200:
            return None
        values = _sums(answer.read(_LONGEST_ANSWER).decode(errors="replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return Reading(time.monotonic(), values.get("requests", 0),
                   values.get("cache_hits", 0) + values.get("cache_hits_validated", 0),
                   values.get("cache_misses", 0) + values.get("cache_collapsed", 0) + values.get("cache_passes", 0),
                   values.get("sent_bytes", 0), values.get("origin_body_bytes", 0))


def _sums(exposition: str) -> dict[str, int]:
    """Adds up the series of each metric of the Prometheus text format, by the name without prefix and suffix."""
    sums: dict[str, int] = {}
    for line in exposition.splitlines():
        if line.startswith("#") or " " not in line:
            continue
        series, _, value = line.partition("}") if "{" in line else line.partition(" ")
        name = series.partition("{")[0].removeprefix(_PREFIX).removesuffix(_SUFFIX)
        try:
            sums[name] = sums.get(name, 0) + int(float(value.split()[0]))
        except (ValueError, IndexError, OverflowError):
            continue
    return sums


class LiveLine:
    """Turns two readings into what the node does now."""

    def __init__(self) -> None:
        self._before: Reading | None = None

    def text(self, now: Reading | None) -> str:
        if now is None:
            return "node: no answer on the control socket"
        before, self._before = self._before, now
        passed = now.at - before.at if before else 0
        rate = (now.sent_bytes - before.sent_bytes) * 8 / passed if passed > 0 else 0.0
        return (f"node: {now.requests:,} requests · hit ratio {now.hit_ratio() * 100:.1f} % · {rate / 1e9:.3f} Gb/s · "
                f"served {_size(now.sent_bytes)} · from the origin {_size(now.origin_bytes)}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"
