#!/usr/bin/env python3
"""`./dev bench http`: what a request and a gigabyte cost a node, beside nginx, Varnish and HAProxy.

Server on CPU 0, load on CPU 1, all in one network namespace with one congestion control, every object in memory. Rounds are interleaved (each round
asks every server once, beginning with another), a ratio is the median over rounds of the ratio to nginx proxy_cache in the same
round, its spread the distance between the quartiles. CPU time is the kernel's accounting of the server's processes. Results go to docs/results/ as JSON."""

import argparse
import asyncio
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import servers  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = {"64KiB": 64 << 10, "256KiB": 256 << 10, "1MiB": 1 << 20, "4MiB": 4 << 20}
BASE = "nginx proxy_cache"
FIRST_BYTES = 100  # requests a round whose first byte is timed, one after the other


def load(port, path, connections, requests):
    """One run of h2load over HTTP/1.1; returns seconds it took, after checking that every response was a 200."""
    command = ["taskset", "-c", str(servers.CLIENT_CPU), "h2load", "--h1", "-t1", f"-c{connections}", f"-n{requests}",
               f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    good = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
    if good != requests:
        raise SystemExit(f"{good} of {requests} requests were answered with 200 by port {port}: {out[-400:]}")
    number, unit = re.search(r"finished in ([\d.]+)(ms|s|us)", out).groups()
    return float(number) * {"s": 1, "ms": 1e-3, "us": 1e-6}[unit]


def first_byte_seconds(port, path, count):
    """Time to the first byte of `count` requests on one connection, one after the other."""
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begin = time.perf_counter()
            connection.sendall(request)
            data = connection.recv(65536)
            times.append(time.perf_counter() - begin)
            head, _, rest = data.partition(b"\r\n\r\n")
            left = int(re.search(rb"(?i)content-length: (\d+)", head).group(1)) - len(rest)
            while left > 0:
                left -= len(connection.recv(min(left, 1 << 20)))
    return times


def told(arguments):
    """The command without where this run built and wrote."""
    kept, skip = [], False
    for each in arguments:
        if not skip and each not in ("--build", "--out"):
            kept.append(each)
        skip = each in ("--build", "--out")
    return " ".join(kept)


def processor():
    """What runs this, as the kernel calls it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "not known"


def write(result, out):
    """As JSON, to a file or, with -, to standard output."""
    text = json.dumps(result, indent=1)
    if out == "-":
        print(text)
    else:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(text + "\n")
        print(f"written to {out}")


def spread(values):
    if len(values) < 2:
        return 0.0
    quartiles = statistics.quantiles(values, n=4)
    return quartiles[2] - quartiles[0]


def compared(values, base):
    """Median of what was measured in the rounds, and how it relates to the base in the same round."""
    ratios = [own / other for own, other in zip(values, base)]
    return {"median": statistics.median(values), "ratio": statistics.median(ratios), "ratio_spread": spread(ratios)}


def measure_hot(running, sizes, connection_counts, rounds, bytes_a_run):
    rows = []
    for label in sizes:
        size, path = SIZES[label], f"/{label}"
        for server in running:
            load(server.port, path, 1, 3)  # into the cache
        for connections in connection_counts:
            requests = max(connections * 4, min(20000, bytes_a_run // size))
            samples = {server.name: {"cpu": [], "wall": [], "p50": [], "p99": []} for server in running}
            for number in range(rounds):
                # Each round begins with another server, so that none always follows the same one.
                turn = number % len(running)
                for server in running[turn:] + running[:turn]:
                    before = server.cpu_seconds()
                    samples[server.name]["wall"].append(load(server.port, path, connections, requests))
                    samples[server.name]["cpu"].append(server.cpu_seconds() - before)
                    first = sorted(first_byte_seconds(server.port, path, FIRST_BYTES))
                    samples[server.name]["p50"].append(first[len(first) // 2])
                    samples[server.name]["p99"].append(first[len(first) * 99 // 100])
            for server in running:
                own, base = samples[server.name], samples[BASE]
                cpu = compared(own["cpu"], base["cpu"])
                row = {
                    "server": server.name, "object": label, "connections": connections, "requests_a_round": requests,
                    "cpu_microseconds_per_request": cpu["median"] / requests * 1e6,
                    "cpu_seconds_per_gigabyte": cpu["median"] / (requests * size) * 1e9,
                    "cpu_ratio_to_nginx_proxy_cache": cpu["ratio"], "cpu_ratio_spread": cpu["ratio_spread"],
                    "gigabytes_per_second": requests * size / statistics.median(own["wall"]) / 1e9,
                }
                for name in ("p50", "p99"):
                    first = compared(own[name], base[name])
                    row[f"first_byte_{name}_microseconds"] = first["median"] * 1e6
                    row[f"first_byte_{name}_ratio_to_nginx_proxy_cache"] = first["ratio"]
                    row[f"first_byte_{name}_ratio_spread"] = first["ratio_spread"]
                rows.append(row)
                print(f"{label:>7} x{connections:<4} {server.name:<18} {row['cpu_microseconds_per_request']:8.1f} us/request "
                      f"{row['cpu_seconds_per_gigabyte']:6.3f} s/GB  x{cpu['ratio']:.2f} (spread {cpu['ratio_spread']:.2f})  first byte "
                      f"p50 {row['first_byte_p50_microseconds']:4.0f} us x{row['first_byte_p50_ratio_to_nginx_proxy_cache']:.2f} "
                      f"p99 {row['first_byte_p99_microseconds']:5.0f} us x{row['first_byte_p99_ratio_to_nginx_proxy_cache']:.2f}", flush=True)
    return rows


def measure_idle(server, connections):
    """Bytes of memory an idle keep-alive connection costs the server, after one request on it."""
    sockets = []
    request = b"GET /tiny HTTP/1.1\r\nHost: bench\r\n\r\n"

    def open_some(count):
        for _ in range(count):
            each = socket.create_connection(("127.0.0.1", server.port))
            each.sendall(request)
            each.recv(65536)
            sockets.append(each)

    # Buffers and slabs that exist anyway, however few connections there are: first touched by requests, one after the other.
    first_byte_seconds(server.port, "/tiny", 4000)
    open_some(200)
    before = server.resident_bytes()
    open_some(connections)
    after = server.resident_bytes()
    for each in sockets:
        each.close()
    return (after - before) / connections


async def slow_origin(port_box, body, delay_seconds, started, stop):
    """Answers everything with `body` after a delay; counts requests."""
    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                port_box["requests"] += 1
                await asyncio.sleep(delay_seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nETag: \"1\"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port_box["port"] = server.sockets[0].getsockname()[1]
    started.set()
    while not stop.is_set():
        await asyncio.sleep(0.05)
    server.close()


def measure_crowd(make, work, rounds):
    """1,000 clients at once, one cold object of 1 MiB, an origin that takes 20 ms: seconds until the last client has it."""
    import threading
    box = {"requests": 0}
    started, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(slow_origin(box, os.urandom(1 << 20), 0.02, started, stop)), daemon=True)
    thread.start()
    started.wait(10)
    result = {}
    running = make(work, box["port"])
    try:
        samples = {server.name: ([], []) for server in running}
        for each in range(rounds):
            for server in running:
                box["requests"] = 0
                samples[server.name][0].append(load(server.port, f"/cold-{each}", 1000, 1000))
                samples[server.name][1].append(box["requests"])
        for name, (seconds, requests) in samples.items():
            result[name] = {"seconds_until_last": statistics.median(seconds), "spread": spread(seconds), "origin_requests": max(requests)}
            print(f"cold crowd {name:<18} {statistics.median(seconds):6.2f} s until the last of 1,000 has 1 MiB "
                  f"(spread {spread(seconds):.2f}), {max(requests)} origin requests", flush=True)
    finally:
        for server in running:
            server.stop()
        stop.set()
    return result


def versions():
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).splitlines()[0]
    return {"nginx": first_line("nginx", "-v"), "varnish": first_line("varnishd", "-V"), "haproxy": first_line("haproxy", "-v"),
            "h2load": first_line("h2load", "--version"), "kernel": platform.release()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--connections", default="1,16,256", help="comma list (default 1,16,256)")
    parser.add_argument("--sizes", default=",".join(SIZES), help="comma list of " + ", ".join(SIZES))
    parser.add_argument("--megabytes", type=int, default=256, help="bytes a run moves at most, in MB (default 256)")
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(REPOSITORY / "docs/results/http.json"), help="where the JSON goes; - for standard output")
    parser.add_argument("--skip-crowd", action="store_true")
    arguments = parser.parse_args()
    unknown = [size for size in arguments.sizes.split(",") if size not in SIZES]
    if unknown:
        parser.error(f"unknown size {unknown[0]}: use {', '.join(SIZES)}")
    control = servers.in_own_network()
    os.sched_setaffinity(0, {servers.CLIENT_CPU})  # the clients here too; servers choose theirs with taskset

    result = {"command": ("./dev bench http " + told(sys.argv[1:])).strip(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "cpus": os.cpu_count(), "versions": versions(), "congestion_control": control, "base_of_ratios": BASE}
    shared_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-", dir=shared_memory) as work:
        docroot = Path(work) / "docroot"
        docroot.mkdir()
        for label, size in SIZES.items():
            (docroot / label).write_bytes(os.urandom(size))
        (docroot / "tiny").write_bytes(b"tiny")
        origin = servers.nginx_static(Path(work) / "origin", docroot, servers.CLIENT_CPU, "origin")
        running = []
        try:
            running = [servers.nginx_proxy_cache(f"{work}/proxy", origin.port), servers.node(f"{work}/node", arguments.build, origin.port),
                       servers.nginx_static(f"{work}/static", docroot), servers.varnish(f"{work}/varnish", origin.port),
                       servers.haproxy(f"{work}/haproxy", origin.port)]
            # Before many connections: what they leave behind would hide what one takes.
            result["idle_connection_bytes"] = {}
            for server in running:
                result["idle_connection_bytes"][server.name] = measure_idle(server, 2000)
                print(f"idle connection {server.name:<18} {result['idle_connection_bytes'][server.name]:6.0f} bytes", flush=True)
            result["hot"] = measure_hot(running, arguments.sizes.split(","), [int(c) for c in arguments.connections.split(",")],
                                        arguments.rounds, arguments.megabytes * 1_000_000)
        finally:
            for server in running:
                server.stop()
            origin.stop()
        if not arguments.skip_crowd:
            result["cold_crowd"] = measure_crowd(
                lambda place, port: [servers.nginx_proxy_cache(f"{place}/crowd-proxy", port), servers.node(f"{place}/crowd-node", arguments.build, port),
                                     servers.varnish(f"{place}/crowd-varnish", port)], work, max(3, arguments.rounds // 2))
    write(result, arguments.out)


if __name__ == "__main__":
    main()
