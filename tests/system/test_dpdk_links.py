"""Clients of the kernel's over bad links and awkward ones, on every driver that needs no NIC: what arrives is what was asked for, and in time.

The bad link is in the node (tests/node/impaired_node.cc), before its driver, with a seed; the kernel's end of the link is a veth pair's or the
TAP's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dpdk_support import PORT, THEIR_V4, THEIR_V6, V4, V6, curl, digest, inside, needs_dpdk, serving, transport, url
from namespace_support import Client, Namespace
from node_support import until
from origin_support import Nginx, content
from process_support import Program

pytestmark = needs_dpdk

BAD = "loss=0.01,reordering=0.02,duplication=0.01,corruption=0.005"
KIB, MIB = 1024, 1024 * 1024


@pytest.fixture
def client() -> Iterator[Client]:
    with contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")) as namespace:
        yield namespace


@contextlib.contextmanager
def linked(driver: str, folder: Path, objects: dict[str, bytes], devargs: str = "", **options) -> Iterator[tuple[Namespace, Program]]:
    """A client of the kernel's, and a node that owns the other end of its link and has `objects` from an origin."""
    with contextlib.ExitStack() as ending:
        if driver == "net_tap":
            # Its two ends are in one namespace, and so is everybody else: the driver loses sight of an interface that is taken elsewhere.
            client = ending.enter_context(contextlib.closing(Namespace("client")))
            device = f"nft{os.getpid() % 100000}"
            ending.enter_context(inside(client))
        else:
            client = ending.enter_context(contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")))
            device = client.port
        origin = ending.enter_context(contextlib.closing(Nginx()))
        for path, data in objects.items():
            origin.put(path, data)
        program = ending.enter_context(serving(f"{driver}0,iface={device}{devargs}", origin.url, folder, **options))
        if driver == "net_tap":
            # Both ends have one MAC address until the kernel's gets another.
            client.ip("link", "set", device, "address", "02:6e:66:00:00:01")
            client.ip("address", "add", f"{THEIR_V4}/24", "dev", device)
            client.ip("address", "add", f"{THEIR_V6}/64", "dev", device, "nodad")
        yield client, program


def fetch(client: Namespace, paths: list[str], address: str, folder: Path, patience_s: int = 60) -> dict[str, str]:
    """Digests of what many downloads at a time brought."""
    words = [word for path in paths for word in (url(path, address), "-o", str(folder / path[1:]))]
    done = client.run("curl", "-sS", "--fail", "--no-progress-meter", "-Z", "--parallel-max", 16, "--max-time", patience_s, *words,
                      timeout=patience_s + 10)
    assert done.returncode == 0, done.stderr
    return {path: digest((folder / path[1:]).read_bytes()) for path in paths}


@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp", "net_tap"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_link_changes_nothing_of_what_arrives(tmp_path, driver, seed):
    objects = {f"/{size}": content(size) for size in (64 * KIB, 300_001, MIB, 4 * MIB)}
    with linked(driver, tmp_path, objects, impairment=f"seed={seed},{BAD}") as (client, program):
        for address in (V4, V6):
            for path, data in objects.items():
                assert digest(curl(client, path, address, patience_s=30)) == digest(data)
            assert fetch(client, list(objects), address, tmp_path) == {path: digest(data) for path, data in objects.items()}
        counters = transport(program)
        assert counters["tcp_fast_recoveries"] + counters["tcp_loss_probes"] + counters["tcp_timeouts"] > 0, counters
        assert counters["dropped_tcp_checksum"] > 0, counters
        assert counters["tcp_duplicates_reported"] > 0, counters
