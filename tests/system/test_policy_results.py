"""docs/cache-policies.md says what the kept results say: every cell of its tables, and the two aims."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "cache-policies.md").read_text()
POLICIES = ("s3tinylfu", "s3fifo", "lru", "sieve", "wtinylfu", "arc")  # the first is the default
FILES = {"1": "week-seed1", "2": "week-seed2", "3": "week-seed3", "adaptsize": "adaptsize_request", "cloudPhysics": "cloudPhysicsIO_sect",
         "web07": "cache2k_web07"}
CELLS = re.findall(r"^\| (\w+) \| (\d+) % \| (.*?) \|$", TEXT, re.M)
MADE_UP = re.findall(r"^\| ([\w-]+) \| ([\d. /]+) \| ([\d. /]+) \|$", TEXT, re.M)


def results(name: str) -> dict[tuple[str, str], dict]:
    rows = json.loads((DOCS / "results" / f"cachesim-{name}.json").read_text())["rows"]
    return {(row["policy"], row["size"]): row for row in rows}


def test_every_trace_has_four_sizes():
    assert sorted((trace, int(size)) for trace, size, rest in CELLS if rest.count("|") == 7) == sorted(
        (trace, size) for trace in FILES for size in (1, 3, 10, 30))


@pytest.mark.parametrize("trace,size,rest", [cell for cell in CELLS if cell[2].count("|") == 7])
def test_miss_ratios(trace, size, rest):
    found = results(FILES[trace])
    *shown, distance = (cell.strip() for cell in rest.split("|"))
    assert [cell.strip("*") for cell in shown] == [f"{100 * found[name, size + '%']['byte_miss_ratio']:.2f}" for name in (*POLICIES, "belady")]
    missed = {name: found[name, size + "%"]["miss_bytes"] for name in POLICIES}
    assert [name for name, cell in zip(POLICIES, shown) if cell.startswith("**")] == [min(missed, key=missed.get)]
    over = 100 * (missed["s3tinylfu"] / min(missed[name] for name in POLICIES[1:]) - 1)
    assert distance == f"{over:+.2f} %"
    assert over <= 1.0  # the aim


def test_made_up_traces():
    assert len(MADE_UP) == len(POLICIES)
    for name, column in (("sliding", 1), ("jumping", 2)):
        found = results(name)
        for policy, row in zip(POLICIES, MADE_UP):
            assert row[column] == " / ".join(f"{100 * found[policy, size]['byte_miss_ratio']:.1f}" for size in ("1%", "3%", "10%", "30%")), (policy, name)


def test_speed():
    kept = json.loads((DOCS / "results" / "cachesim-speed-week-seed1.json").read_text())["sizes"]
    rows = dict(re.findall(r"^\| (\d+ %) \| ([\d.]+ \| [\d.]+ to [\d.]+) \|$", TEXT, re.M))
    assert rows == {size.replace("%", " %"): f"{one['median']:.1f} | {min(one['runs']):.1f} to {max(one['runs']):.1f}" for size, one in kept.items()}
    assert all(run > 5 for one in kept.values() for run in one["runs"])  # the aim
