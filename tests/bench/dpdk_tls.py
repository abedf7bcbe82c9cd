#!/usr/bin/env python3
"""`./dev bench dpdk_tls`: what TLS costs the core that serves with our own TCP, over a NIC model: the same answers in clear text and in TLS records.

As `./dev bench dpdk`, of which this is the part without kernel sockets: TLS 1.3, AES-128-GCM, 16 KiB records, sealed when the packets are made. Keys are
given, there is no handshake. Rounds are interleaved; a ratio is the median over rounds of TLS to clear text in the same round."""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import dpdk  # noqa: E402
import http  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--connections", default="1,100", help="comma list (default 1,100)")
    parser.add_argument("--sizes", default="64KiB,256KiB,1MiB", help="comma list of " + ", ".join(dpdk.SIZES) + " (default 64KiB,256KiB,1MiB)")
    parser.add_argument("--seconds", type=float, default=0.3, help="measured of each run (default 0.3)")
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(dpdk.REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(dpdk.REPOSITORY / "docs/results/dpdk-tls.json"), help="where the JSON goes; - for standard output")
    arguments = parser.parse_args()
    sizes = arguments.sizes.split(",")
    unknown = [size for size in sizes if size not in dpdk.SIZES]
    if unknown:
        parser.error(f"unknown size {unknown[0]}: use {', '.join(dpdk.SIZES)}")
    if not (Path(arguments.build) / "tests/bench/dpdk_bench").exists():
        raise SystemExit("dpdk_bench was not built: DPDK is missing or switched off (NEARFIELD_DPDK)")
    cases = [(packets, int(count), size, ()) for packets in dpdk.PACKETS for count in arguments.connections.split(",") for size in sizes]
    if "256KiB" in sizes:  # content that is in no processor cache
        cases += [(packets, 100, "256KiB", ("--objects", "1024")) for packets in dpdk.PACKETS]
    samples = {case: ([], []) for case in cases}
    for number in range(arguments.rounds):
        turn = number % len(cases)
        for case in cases[turn:] + cases[:turn]:
            packets, count, label, more = case
            for tls in ((0, 1), (1, 0))[number % 2]:
                samples[case][tls].append(dpdk.ours(arguments.build, packets, count, dpdk.SIZES[label], arguments.seconds, (*more, "--tls", str(tls))))
        print(f"round {number + 1} of {arguments.rounds}", flush=True)

    rows = []
    for (packets, count, label, more), runs in samples.items():
        clear, sealed = ([run["gigabytes_per_cpu_second"] for run in of_kind] for of_kind in runs)
        ratio = http.compared(sealed, clear)
        rows.append({"packets": packets, "connections": count, "object": label, "options": " ".join(more),
                     "gigabytes_per_cpu_second": dpdk.summary(sealed), "gigabytes_per_cpu_second_in_clear_text": dpdk.summary(clear),
                     "ratio_to_clear_text": ratio["ratio"], "ratio_spread": ratio["ratio_spread"],
                     "nanoseconds_per_byte": dpdk.summary([run["nanoseconds_per_byte"] for run in runs[1]]),
                     "busy": dpdk.summary([run["busy"] for run in runs[1]]), "on_processor": dpdk.summary([run["on_processor"] for run in runs[1]]),
                     "retransmitted_bytes": statistics.median(run["retransmitted_bytes"] for run in runs[1]),
                     "staging_full": statistics.median(run["staging_full"] for run in runs[1])})
        print(f"{packets:>14} x{count:<6}{label:>7} {' '.join(more):<16} {rows[-1]['gigabytes_per_cpu_second']['median']:6.2f} GB/CPU s with TLS, "
              f"{rows[-1]['gigabytes_per_cpu_second_in_clear_text']['median']:6.2f} without, x{ratio['ratio']:.2f} (spread {ratio['ratio_spread']:.2f})",
              flush=True)
    result = {"command": ("./dev bench dpdk_tls " + http.told(sys.argv[1:])).strip(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "cpus": os.cpu_count(), "processor": http.processor(), "suite": "TLS_AES_128_GCM_SHA256",
              "engine": next(iter(samples.values()))[1][0]["tls"], "rows": rows}
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
