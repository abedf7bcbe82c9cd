#!/usr/bin/env python3
"""`./dev bench idle`: what a DPDK worker without work costs, and what a client pays for it.

A node with one worker on a virtual device in a network namespace; nobody asks it for anything. Its worker's share of a processor is the scheduler's
count of the time it ran. Then a kernel's client connects now and again, after pauses in which the worker fell asleep: the time from the SYN to the
SYN-ACK, beside that of a worker that never sleeps, is what waking up takes."""

import argparse
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import http  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "image/demo"))
from serve import veth  # noqa: E402
from serve.network_namespace import NetworkNamespace  # noqa: E402

NODE, CLIENT = "198.18.0.10", "198.18.0.1"
MODES = {"poll": 'idle = "poll"', "sleep 250us": 'idle = "sleep"\nidle_sleep = "250us"', "sleep 1ms": 'idle = "sleep"\nidle_sleep = "1ms"',
         "auto": 'idle = "auto"'}
DRIVERS = ("net_tap", "net_af_packet")
PAUSES_MS = (20, 1500)


def make_network(driver):
    """Returns what the node's port is called, the namespace the node has to be in and that of the client; they end with this process at the
    latest."""
    away = NetworkNamespace.new()
    if driver == "net_tap":
        return "net_tap0,iface=nf_idle", away, away  # the client is the kernel behind the TAP
    home = NetworkNamespace.new()
    veth.join("nf_idle", home, "nf_client", away, [CLIENT + "/24"])
    return "net_af_packet0,iface=nf_idle", home, away


def configuration(port, mode, control):
    return f"""\
[node]
listen = ["{NODE}:80"]
workers = 1
transport = "dpdk"
control = "{control}"
[cache]
ram = "128M"
hugepages = false
[[origin]]
name = "nobody"
hosts = ["*"]
servers = ["http://127.0.0.1:9"]
[dpdk]
hugepages = false
memory = "64M"
{MODES[mode]}
[[dpdk.port]]
name = "{port}"
addresses = ["{NODE}/24"]
"""


class Node:
    def __init__(self, program, driver, mode, folder):
        port, self.home, self.away = make_network(driver)
        place = Path(folder)
        (place / "node.toml").write_text(configuration(port, mode, place / "c.sock"))
        self.log = place / "node.log"
        with self.log.open("wb") as log, self.home.inside():
            self.process = subprocess.Popen([program, "--config", str(place / "node.toml")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.begin(driver)
        except BaseException:
            self.close()
            raise

    def begin(self, driver):
        deadline = time.monotonic() + 30
        while " serves on " not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the node does not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        if driver == "net_tap":
            # The driver gives both ends one MAC address, and no kernel answers itself.
            with self.away.inside():
                veth.ip("link", "set", "nf_idle", "address", "02:00:00:00:00:01")
                veth.ip("address", "add", CLIENT + "/24", "dev", "nf_idle")
        while True:  # until the neighbours know each other
            try:
                self.connect()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def connect(self):
        with self.away.inside(), socket.socket() as connection:
            connection.settimeout(5)
            begin = time.perf_counter()
            connection.connect((NODE, 80))
            return time.perf_counter() - begin

    def ran_seconds(self):
        """By thread: whoever ran most is the worker."""
        ran = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            ran[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
        return ran

    def idle_share(self, seconds):
        before, begin = self.ran_seconds(), time.monotonic()
        time.sleep(seconds)
        after, took = self.ran_seconds(), time.monotonic() - begin
        shares = [(ran - before.get(task, 0)) / took for task, ran in after.items()]
        return max(shares), sum(shares)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for namespace in {self.home, self.away}:
            namespace.close()


def measure(arguments, driver, mode):
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as folder:
        node = Node(str(Path(arguments.build) / "dataplane/nearfield-dataplane"), driver, mode, folder)
        try:
            time.sleep(3)  # longer than any sleep takes to grow
            samples = [node.idle_share(arguments.seconds / 5) for _ in range(5)]
            row = {"driver": driver, "idle": mode, "worker_share": statistics.median(one for one, _ in samples),
                   "worker_share_spread": http.spread([one for one, _ in samples]), "process_share": statistics.median(all_ for _, all_ in samples)}
            for pause_ms in PAUSES_MS:
                count = arguments.connections if pause_ms < 1000 else max(5, arguments.connections // 20)
                times = []
                for _ in range(count):
                    time.sleep(pause_ms / 1e3 * random.uniform(0.9, 1.1))
                    times.append(node.connect() * 1e6)
                row[f"connect_us_after_{pause_ms}ms"] = {"median": statistics.median(times), "p90": sorted(times)[count * 9 // 10],
                                                         "worst": max(times), "connections": count}
            return row
        finally:
            node.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="over which a worker's share is measured (default 10)")
    parser.add_argument("--connections", type=int, default=200, help="after the short pause; a twentieth after the long one (default 200)")
    parser.add_argument("--drivers", default=",".join(DRIVERS))
    parser.add_argument("--modes", default=",".join(MODES), help=f"comma list of {', '.join(MODES)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(REPOSITORY / "docs/results/idle.json"), help="where the JSON goes; - for standard output")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    unknown = [mode for mode in arguments.modes.split(",") if mode not in MODES]
    if unknown:
        parser.error(f"unknown mode {unknown[0]}: use {', '.join(MODES)}")
    if os.geteuid() != 0:
        raise SystemExit("this makes network namespaces: run it as root")
    rows = []
    for driver in arguments.drivers.split(","):
        for mode in arguments.modes.split(","):
            row = measure(arguments, driver, mode)
            rows.append(row)
            waits = ", ".join(f"{row[f'connect_us_after_{pause}ms']['median']:.0f} us (worst {row[f'connect_us_after_{pause}ms']['worst']:.0f}) after "
                              f"{pause} ms" for pause in PAUSES_MS)
            print(f"{driver:>14} {mode:<12} {row['worker_share'] * 100:6.2f} % of a core; connects in {waits}", flush=True)
    result = {"command": ("./dev bench idle " + http.told(sys.argv[1:])).strip(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "kernel": platform.release(), "processors": os.cpu_count(), "cells": rows}
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
