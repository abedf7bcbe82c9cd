#!/usr/bin/env python3
"""`./dev bench dpdk`: what our own TCP costs the core that serves, over a NIC model, beside what kernel sockets cost for the same objects.

The server's thread is on CPU 0, clients on CPU 1. Ours is dpdk_bench (stack and packets, no HTTP); the kernel's are nginx and this node's io_uring
transport over loopback with h2load, in a network of their own with cubic (or reno). Rounds are interleaved; a figure is the median of the rounds,
its spread the distance between the quartiles. Recovery under loss is `./dev bench recovery`."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import http  # noqa: E402
import servers  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = {"64KiB": 64 << 10, "256KiB": 256 << 10, "1MiB": 1 << 20, "4MiB": 4 << 20}
KERNEL_CONNECTIONS = 4000  # the node's own limit is 4,096
PACKETS = {"1500": ["--mtu", "1500"], "9000": ["--mtu", "9000"], "super-segments": ["--offloads", "1"]}


def ours(build, packets, connections, size, seconds, more=()):
    command = [str(Path(build) / "tests/bench/dpdk_bench"), *PACKETS[packets], "--connections", str(connections), "--object", str(size),
               "--seconds", str(seconds), *more]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)


def summary(values):
    return {"median": statistics.median(values), "spread": http.spread(values), "rounds": len(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--connections", default="1,100,10000", help="comma list (default 1,100,10000)")
    parser.add_argument("--sizes", default=",".join(SIZES), help="comma list of " + ", ".join(SIZES))
    parser.add_argument("--seconds", type=float, default=0.3, help="measured of each of our runs (default 0.3)")
    parser.add_argument("--megabytes", type=int, default=256, help="bytes a run of the kernel's moves at most, in MB (default 256)")
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(REPOSITORY / "docs/results/dpdk.json"), help="where the JSON goes; - for standard output")
    parser.add_argument("--skip-kernel", action="store_true")
    arguments = parser.parse_args()
    sizes = arguments.sizes.split(",")
    counts = [int(each) for each in arguments.connections.split(",")]
    unknown = [size for size in sizes if size not in SIZES]
    if unknown:
        parser.error(f"unknown size {unknown[0]}: use {', '.join(SIZES)}")
    if not (Path(arguments.build) / "tests/bench/dpdk_bench").exists():
        raise SystemExit("dpdk_bench was not built: DPDK is missing or switched off (NEARFIELD_DPDK)")
    control = servers.in_own_network()
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    cases = [(packets, count, size, ()) for packets in PACKETS for count in counts for size in sizes]
    # What the plain cases leave out: clients that acknowledge every second 1460 bytes of a super-segment; content that is in no
    # processor cache.
    extra = [("super-segments", 100, "64KiB", ("--acknowledgments", "22")), ("1500", 100, "64KiB", ("--objects", "4096")),
             ("super-segments", 100, "64KiB", ("--objects", "4096"))]
    cases += [case for case in extra if case[2] in sizes and case[1] in counts]
    samples = {case: [] for case in cases}
    kernel = {}
    command = "./dev bench dpdk " + http.told(sys.argv[1:])
    shared_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-", dir=shared_memory) as work:
        docroot = Path(work) / "docroot"
        docroot.mkdir()
        for label, size in SIZES.items():
            (docroot / label).write_bytes(os.urandom(size))
        running, origin = [], None
        try:
            if not arguments.skip_kernel:
                origin = servers.nginx_static(Path(work) / "origin", docroot, servers.CLIENT_CPU, "origin")
                running = [servers.nginx_static(f"{work}/static", docroot), servers.node(f"{work}/node", arguments.build, origin.port)]
                for server in running:
                    for label in sizes:
                        http.load(server.port, f"/{label}", 1, 3)  # into the cache
            for number in range(arguments.rounds):
                turn = cases[number % len(cases):] + cases[:number % len(cases)]
                for case in turn:
                    packets, count, label, more = case
                    samples[case].append(ours(arguments.build, packets, count, SIZES[label], arguments.seconds, more))
                for server in running:
                    for count in sorted({min(count, KERNEL_CONNECTIONS) for count in counts}):
                        for label in sizes:
                            requests = max(count, min(20000, arguments.megabytes * 1_000_000 // SIZES[label]))
                            if requests * SIZES[label] > 4e9:
                                continue  # 10,000 connections of 4 MiB are minutes of a kernel's time
                            before = server.cpu_seconds()
                            try:
                                http.load(server.port, f"/{label}", count, requests)
                            except SystemExit as problem:
                                print(f"{server.name} {label} x{count}: {problem}", flush=True)
                                continue
                            kernel.setdefault((server.name, count, label), []).append((server.cpu_seconds() - before) / requests)
                print(f"round {number + 1} of {arguments.rounds}", flush=True)
        finally:
            for server in running:
                server.stop()
            if origin:
                origin.stop()

    rows = []
    for (packets, count, label, more), runs in samples.items():
        row = {"packets": packets, "connections": count, "object": label, "options": " ".join(more)}
        for name in ("nanoseconds_per_byte", "gigabytes_per_cpu_second", "cpu_microseconds_per_request", "gigabytes_per_second", "busy", "on_processor",
                     "resident_bytes_per_idle_connection", "resident_bytes_per_busy_connection"):
            row[name] = summary([run[name] for run in runs])
        for name in ("packets_sent", "packets_received", "retransmitted_bytes", "unexpected", "connection_bytes"):
            row[name] = statistics.median(run[name] for run in runs)
        rows.append(row)
        print(f"{packets:>14} x{count:<6}{label:>7} {' '.join(more):<20} {row['gigabytes_per_cpu_second']['median']:7.2f} GB/CPU s "
              f"(spread {row['gigabytes_per_cpu_second']['spread']:.2f}) {row['cpu_microseconds_per_request']['median']:8.2f} us/request", flush=True)
    kernel_rows = []
    for (name, count, label), costs in kernel.items():
        cost = statistics.median(costs)
        kernel_rows.append({"server": name, "connections": count, "object": label, "cpu_microseconds_per_request": cost * 1e6,
                            "cpu_microseconds_spread": http.spread(costs) * 1e6, "gigabytes_per_cpu_second": SIZES[label] / cost / 1e9,
                            "rounds": len(costs)})
        print(f"{name:>14} x{count:<6}{label:>7} {'kernel sockets':<20} {SIZES[label] / cost / 1e9:7.2f} GB/CPU s {cost * 1e6:27.1f} us/request",
              flush=True)
    result = {"command": command.strip(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpus": os.cpu_count(),
              "congestion_control_of_the_kernel": control, "pages": next(iter(samples.values()))[0]["pages"], "ours": rows, "kernel": kernel_rows}
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
