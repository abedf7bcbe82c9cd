#!/usr/bin/env python3
"""`./dev bench access`: microseconds of a core that a token check takes, the first of a token and further ones.

Rounds of access_bench on one processor; a figure is the median of the rounds, its spread the distance between the quartiles."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import http  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--checks", type=int, default=1000, help="different tokens of each case and round (default 1000)")
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(REPOSITORY / "docs/results/access.json"), help="where the JSON goes; - for standard output")
    arguments = parser.parse_args()
    program = Path(arguments.build) / "tests/bench/access_bench"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rounds = []
    for number in range(arguments.rounds):
        run = subprocess.run([str(program), str(arguments.checks)], capture_output=True, text=True, timeout=300, check=True)
        rounds.append(json.loads(run.stdout))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    cases = {}
    for name in rounds[0]:
        cases[name] = {}
        for which in ("first", "known"):
            values = [each[name][which] for each in rounds]
            cases[name][which] = {"median": round(statistics.median(values), 3), "spread": round(http.spread(values), 3), "rounds": len(values)}
        print(f"{name:24} first {cases[name]['first']['median']:9.2f} us, known {cases[name]['known']['median']:7.2f} us", file=sys.stderr)
    result = {"command": ("./dev bench access " + http.told(sys.argv[1:])).strip(),
              "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "processor": http.processor(), "microseconds": cases}
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
