#!/usr/bin/env python3
"""`./dev bench recovery`: how long 1 MiB takes our TCP and Linux's CUBIC over the same bad links.

link_relay puts the simulation's link, in real time, between a kernel client and the server, in network namespaces of this benchmark's own:
Linux's TCP with cubic, or our stack inside of the relay. The client's port chooses the link's seed, so both servers meet the same link; what they lose
differs as soon as they send differently. A cell of the table is the ratio of the medians over the seeds."""

import argparse
import concurrent.futures
import os
import platform
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import http  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
OBJECT = 1 << 20
FIRST_PORT = 20000
CLIENT, SERVER = "nf-bench-client", "nf-bench-server"
ADDRESSES = {CLIENT: ("nf_client", "198.18.0.2", "198.18.0.1"), SERVER: ("nf_server", "198.18.0.1", "198.18.0.2")}


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


def inside(name, *command):
    """`ip netns exec` mounts a new /sys, which not every place this runs in allows."""
    return ["nsenter", f"--net=/run/netns/{name}", *command]


def namespaces():
    for name in (CLIENT, SERVER):
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        run("ip", "netns", "add", name)
        run(*inside(name, "ip", "link", "set", "lo", "up"))
    # Else a connection begins with what the one before it learned.
    run(*inside(SERVER, "sysctl", "-w", "net.ipv4.tcp_no_metrics_save=1"))


class Relay:
    def __init__(self, build, ours, loss, rtt, mbit, seed):
        command = [str(Path(build) / "tests/bench/link_relay"), "--client-namespace", CLIENT, "--loss", str(loss), "--rtt-ms", str(rtt), "--mbit",
                   str(mbit), "--seed", str(seed)]
        if not ours:
            command += ["--server-namespace", SERVER]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        if self.process.stdout.readline().strip() != b"ready":
            raise SystemExit("link_relay does not start: see above")
        for name in (CLIENT,) if ours else (CLIENT, SERVER):
            interface, own, other = ADDRESSES[name]
            run(*inside(name, "ip", "address", "add", own, "peer", other, "dev", interface))
            run(*inside(name, "ip", "link", "set", interface, "up", "txqueuelen", "10000"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def linux_server():
    """Linux's TCP with cubic, which a namespace other than the first can choose for a socket only; what it accepts inherits that."""
    made = []

    def answer(connection):
        with connection:
            try:
                used = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
                if used.rstrip(b"\0") != b"cubic":
                    return  # the client complains of an answer that ended early
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while connection.recv(16, socket.MSG_WAITALL):
                    connection.sendall(content)
            except OSError:
                pass  # the client had all it wanted

    def serve():
        with open(f"/run/netns/{SERVER}") as space:
            os.setns(space.fileno(), os.CLONE_NEWNET)
        listener = socket.create_server(("0.0.0.0", 80), backlog=1024)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        made.append(listener)
        ready.set()
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    content, ready = os.urandom(OBJECT), threading.Event()
    threading.Thread(target=serve, daemon=True).start()
    if not ready.wait(10):
        raise SystemExit("no server with cubic in the benchmark's namespace: see above")
    return made[0]


def fetch(port):
    """Seconds from the SYN to the last byte. Runs in a thread that has entered the client's namespace."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.settimeout(120)
        connection.bind(("198.18.0.2", port))
        begin = time.perf_counter()
        connection.connect(("198.18.0.1", 80))
        connection.sendall(b"NF" + struct.pack(">HIQ", 0, port, OBJECT))  # tests/sim/tcp/exchange.h
        left = OBJECT
        while left > 0:
            got = len(connection.recv(min(left, 1 << 18)))
            if got == 0:
                raise RuntimeError(f"the answer ended {left} bytes early")
            left -= got
        took = time.perf_counter() - begin
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no TIME-WAIT: ports come again
    return took


def enter_client():
    with open(f"/run/netns/{CLIENT}") as space:
        os.setns(space.fileno(), os.CLONE_NEWNET)


def cell(arguments, ours, loss, rtt, seeds):
    # Without loss every connection fills its link at once: so many that the processors keep up.
    parallel = arguments.parallel if loss > 0 else min(2, arguments.parallel)
    relay = Relay(arguments.build, ours, loss, rtt, arguments.mbit, arguments.seed)
    try:
        with concurrent.futures.ThreadPoolExecutor(parallel, initializer=enter_client) as pool:
            return list(pool.map(lambda seed: fetch(FIRST_PORT + seed), range(seeds)))
    finally:
        relay.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=60, help="connections a cell and server (default 60); without loss a quarter")
    parser.add_argument("--loss", default="0,0.001,0.01,0.03")
    parser.add_argument("--rtt", default="10,50,100", help="milliseconds")
    parser.add_argument("--mbit", type=float, default=100)
    parser.add_argument("--parallel", type=int, default=6, help="connections at a time, each on a link of its own (default 6)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(REPOSITORY / "docs/results/recovery.json"), help="where the JSON goes; - for standard output")
    arguments = parser.parse_args()
    namespaces()
    rows = []
    listener = linux_server()
    try:
        for rtt in [float(each) for each in arguments.rtt.split(",")]:
            for loss in [float(each) for each in arguments.loss.split(",")]:
                seeds = arguments.seeds if loss > 0 else max(4, arguments.seeds // 4)
                linux = cell(arguments, False, loss, rtt, seeds)
                own = cell(arguments, True, loss, rtt, seeds)
                row = {"loss": loss, "rtt_ms": rtt, "seeds": seeds}
                for name, values in (("linux_cubic", linux), ("ours", own)):
                    row[name] = {"median_seconds": statistics.median(values), "spread": http.spread(values),
                                 "p90_seconds": sorted(values)[len(values) * 9 // 10], "worst_seconds": max(values)}
                row["ratio_of_medians"] = row["ours"]["median_seconds"] / row["linux_cubic"]["median_seconds"]
                rows.append(row)
                print(f"rtt {rtt:4.0f} ms loss {loss * 100:4.1f} %: linux {row['linux_cubic']['median_seconds']:6.3f} s (spread "
                      f"{row['linux_cubic']['spread']:.3f}, p90 {row['linux_cubic']['p90_seconds']:.3f}), ours "
                      f"{row['ours']['median_seconds']:6.3f} s ({row['ours']['spread']:.3f}, {row['ours']['p90_seconds']:.3f}), ratio "
                      f"{row['ratio_of_medians']:.2f}", flush=True)
    finally:
        listener.close()
        for name in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
    result = {"command": ("./dev bench recovery " + http.told(sys.argv[1:])).strip(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "kernel": platform.release(), "object_bytes": OBJECT, "megabits_per_second": arguments.mbit,
              "queue": "one round trip's worth, at least 64 KiB", "cells": rows}
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
