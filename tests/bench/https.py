#!/usr/bin/env python3
"""`./dev bench https`: what a request and a gigabyte cost a node over TLS, beside nginx and HAProxy.

As `./dev bench http`: server on CPU 0, load on CPU 1, one network with one congestion control, interleaved rounds, ratios to nginx of the same
round. One certificate (P-256), one suite (TLS_AES_128_GCM_SHA256), one key exchange (X25519) for all. Handshakes are not in the figures: a sample is
what a run costs beyond one of the same connections with one request each. They have a benchmark of their own, `./dev bench handshakes`."""

import argparse
import contextlib
import os
import re
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
PROTOCOLS = {"http/1.1": ["--h1"], "h2": ["--alpn-list=h2"]}
BASE = "nginx proxy_cache"


def load(port, path, connections, requests, protocol):
    """One run of h2load; returns seconds it took, after checking that every response was a 200 over that protocol and suite."""
    command = ["taskset", "-c", str(servers.CLIENT_CPU), "h2load", *PROTOCOLS[protocol], f"--tls13-ciphers={servers.SUITE}", "--groups=X25519", "-t1",
               f"-c{connections}", f"-n{requests}", f"https://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    good = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
    said = (re.search(r"Application protocol: (\S+)", out), re.search(r"Cipher: (\S+)", out))
    if good != requests or not all(said) or [one.group(1) for one in said] != [protocol, servers.SUITE]:
        raise SystemExit(f"{good} of {requests} requests over {protocol} were answered with 200 by port {port}: {out[-600:]}")
    number, unit = re.search(r"finished in ([\d.]+)(ms|s|us)", out).groups()
    return float(number) * {"s": 1, "ms": 1e-3, "us": 1e-6}[unit]


def sample(server, path, connections, requests, protocol):
    """CPU seconds and seconds of `requests` requests on connections that are there."""
    before = server.cpu_seconds()
    least_wall = load(server.port, path, connections, connections, protocol)
    between = server.cpu_seconds()
    wall = load(server.port, path, connections, connections + requests, protocol)
    return server.cpu_seconds() - between - (between - before), wall - least_wall


def measure(running, protocol, sizes, connection_counts, rounds, bytes_a_run):
    rows = []
    for label in sizes:
        size, path = http.SIZES[label], f"/{label}"
        for server in running:
            load(server.port, path, 1, 3, protocol)  # into the cache
        for connections in connection_counts:
            # What many handshakes cost more or less must not drown what the requests cost.
            requests = max(connections, min(20000, bytes_a_run * max(1, connections // 32) // size))
            samples = {server.name: {"cpu": [], "wall": []} for server in running}
            for number in range(rounds):
                # Each round begins with another server, so that none always follows the same one.
                turn = number % len(running)
                for server in running[turn:] + running[:turn]:
                    cpu, wall = sample(server, path, connections, requests, protocol)
                    samples[server.name]["cpu"].append(cpu)
                    samples[server.name]["wall"].append(wall)
            peers = [name for name in samples if name != "nearfield"]
            for server in running:
                own = samples[server.name]
                cpu = http.compared(own["cpu"], samples[BASE]["cpu"])
                best = http.compared(own["cpu"], [min(samples[peer]["cpu"][each] for peer in peers) for each in range(rounds)])
                row = {
                    "server": server.name, "protocol": protocol, "object": label, "connections": connections, "requests_a_round": requests,
                    "cpu_microseconds_per_request": cpu["median"] / requests * 1e6,
                    "cpu_seconds_per_gigabyte": cpu["median"] / (requests * size) * 1e9,
                    "cpu_ratio_to_nginx_proxy_cache": cpu["ratio"], "cpu_ratio_spread": cpu["ratio_spread"],
                    "cpu_ratio_to_best_peer": best["ratio"], "cpu_ratio_to_best_peer_spread": best["ratio_spread"],
                    "gigabytes_per_second": requests * size / statistics.median(own["wall"]) / 1e9,
                }
                rows.append(row)
                print(f"{protocol:>8} {label:>7} x{connections:<4} {server.name:<18} {row['cpu_microseconds_per_request']:8.1f} us/request "
                      f"{row['cpu_seconds_per_gigabyte']:6.3f} s/GB  x{cpu['ratio']:.2f} (spread {cpu['ratio_spread']:.2f}) of nginx, "
                      f"x{best['ratio']:.2f} (spread {best['ratio_spread']:.2f}) of the best peer", flush=True)
    return rows


def versions(build):
    """Of all that is measured; the TLS library with each."""
    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).splitlines()

    haproxy = said("haproxy", "-vv")
    nginx = said("nginx", "-V")
    binary = Path(build) / "dataplane/nearfield-dataplane"
    return {"nginx": nginx[0], "nginx_tls": next(line for line in nginx if "OpenSSL" in line),
            "haproxy": haproxy[0], "haproxy_tls": next(line for line in haproxy if "Running on OpenSSL" in line),
            "nearfield": said(str(binary), "--version")[0], "nearfield_tls": "handshakes by mbedTLS on nettle's curves, records by intel-ipsec-mb",
            "h2load": said("h2load", "--version")[0], "kernel": os.uname().release}


class Field:
    """The servers that are compared, in front of one origin, and what they serve."""

    def __init__(self, build):
        self._folder = tempfile.TemporaryDirectory(prefix="nearfield-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        work = Path(self._folder.name)
        self.servers = []
        docroot = work / "docroot"
        docroot.mkdir()
        for label, size in http.SIZES.items():
            (docroot / label).write_bytes(os.urandom(size))
        (docroot / "tiny").write_bytes(b"tiny")
        identity = servers.certificate(work / "identity")
        self._origin = servers.nginx_static(work / "origin", docroot, servers.CLIENT_CPU, "origin")
        try:
            self.servers.append(servers.nginx_proxy_cache(work / "proxy", self._origin.port, identity))
            self.servers.append(servers.secure_node(work / "node", build, self._origin.port, identity))
            self.servers.append(servers.haproxy(work / "haproxy", self._origin.port, identity))
        except BaseException:
            self.close()
            raise

    def close(self):
        for server in [*self.servers, self._origin]:
            server.stop()
        self._folder.cleanup()


def parser_of(text, name):
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--build", default=os.environ.get("NEARFIELD_BUILD_DIR", str(REPOSITORY / "build/release")))
    parser.add_argument("--out", default=str(REPOSITORY / f"docs/results/{name}.json"), help="where the JSON goes; - for standard output")
    return parser


def begin(name, build, controls=("cubic", "reno")):
    """Of a result: how and with what it came to be; in a network of its own from here on."""
    control = servers.in_own_network(controls)
    os.sched_setaffinity(0, {servers.CLIENT_CPU})  # the clients here too; servers choose theirs with taskset
    return {"command": (f"./dev bench {name} " + http.told(sys.argv[1:])).strip(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "cpus": os.cpu_count(), "versions": versions(build), "congestion_control": control, "suite": servers.SUITE,
            "certificate": "ECDSA P-256", "key_exchange": "X25519", "base_of_ratios": BASE}


def main():
    parser = parser_of(__doc__, "https")
    parser.add_argument("--connections", default="1,16,256", help="comma list (default 1,16,256)")
    parser.add_argument("--sizes", default=",".join(http.SIZES), help="comma list of " + ", ".join(http.SIZES))
    parser.add_argument("--protocols", default=",".join(PROTOCOLS), help="comma list of " + ", ".join(PROTOCOLS))
    parser.add_argument("--megabytes", type=int, default=256, help="bytes a run moves at most with up to 32 connections, in MB (default 256)")
    parser.add_argument("--congestion", help="the congestion control of all, e.g. bbr, whose sends cost more (default cubic, or else reno)")
    arguments = parser.parse_args()
    for given, known, kind in ((arguments.sizes, http.SIZES, "size"), (arguments.protocols, PROTOCOLS, "protocol")):
        unknown = [one for one in given.split(",") if one not in known]
        if unknown:
            parser.error(f"unknown {kind} {unknown[0]}: use {', '.join(known)}")
    result = begin("https", arguments.build, *([[arguments.congestion]] if arguments.congestion else []))
    counts = [int(count) for count in arguments.connections.split(",")]
    with contextlib.closing(Field(arguments.build)) as field:
        result["hot"] = [row for protocol in arguments.protocols.split(",")
                         for row in measure(field.servers, protocol, arguments.sizes.split(","), counts, arguments.rounds,
                                            arguments.megabytes * 1_000_000)]
    http.write(result, arguments.out)


if __name__ == "__main__":
    main()
