"""Starting a node with packets of its own and something missing: it ends, and its last line names what is missing and what to do."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from dpdk_support import THEIR_V4, THEIR_V6, V4, needs_dpdk, serving, transport
from namespace_support import Client
from node_support import until

pytestmark = needs_dpdk

ORIGIN = ("--origin", "http://127.0.0.1:9", "--ram", "16M", "--transport", "dpdk", "--listen", ":8080", "--address", f"{V4}/24")
MISSING_PCI = "0000:ff:1f.7"

# Root loses every right with it.
NOBODY = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}


def ending(program, *arguments: object, **options) -> str:
    """What it said last, which is all that it says in its own name."""
    node = program(*ORIGIN, *arguments, **options)
    assert node.ends() == 1, node.log
    [said] = [line for line in node.lines if line.startswith("nearfield-dataplane: ")]
    assert said == node.lines[-1], node.log
    return said


@pytest.mark.parametrize(("port", "missing"), [
    ("net_af_packet0,iface=nf-nowhere", "No such device"),
    ("net_af_xdp0,iface=nf-nowhere", "of interface: nf-nowhere"),
    ("net_af_packet0", "the driver and the interface exist"),
    ("net_nothing0", "the driver and the interface exist"),
    ("nf-nowhere", "name a PCI NIC that a driver knows, or a virtual device"),
])
def test_a_port_that_does_not_exist(program, port, missing):
    said = ending(program, "--workers", 1, "--port", port)
    assert port in said and missing in said


def _free_hugepages() -> int:
    return sum(int(path.read_text()) for path in Path("/sys/kernel/mm/hugepages").glob("hugepages-*/free_hugepages"))


@pytest.mark.skipif(_free_hugepages() > 0, reason="this machine has free hugepages")
def test_a_nic_without_hugepages(program):
    said = ending(program, "--workers", 1, "--port", MISSING_PCI)
    assert "of hugepages and 0 MB are free: run sysctl vm.nr_hugepages=" in said


def test_a_nic_that_does_not_exist(program, tmp_path):
    with pytest.raises(AssertionError, match=f"there is no PCI device {MISSING_PCI}: 'lspci -D' lists addresses"), \
            serving(MISSING_PCI, "http://127.0.0.1:9", tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root, to be nobody")
@pytest.mark.parametrize(("arguments", "missing"), [
    (("--port", "net_af_packet0,iface=lo"), "AF_PACKET socket; see that"),
    (("--port", "net_tap0,iface=nf-tap0"), "this process may use them"),
    (("--port", "net_null0", "--exception-tap", "nf-kernel1"), "exception interface nf-kernel1: cannot make the interface (Operation not permitted): "
                                                               "give the process CAP_NET_ADMIN"),
])
def test_a_missing_permission(program, arguments, missing):
    assert missing in ending(program, "--workers", 1, *arguments, **NOBODY)


def test_more_workers_than_queues(program):
    said = ending(program, "--workers", 2, "--port", "net_af_packet0,iface=lo")
    assert "has 1 queues and 2 are wanted: use fewer workers, or give the device more (qpairs=, queues=)" in said


def test_a_second_node_on_one_interface(program, tmp_path):
    with contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")) as client, \
            serving(f"net_af_packet0,iface={client.port}", "http://127.0.0.1:9", tmp_path):
        said = ending(program, "--workers", 1, "--port", f"net_af_packet0,iface={client.port}")
    assert f"has interface {client.port}: end that one first" in said


def test_an_interface_that_goes_away_for_good_takes_nothing_with_it(tmp_path):
    with contextlib.closing(Client(f"{THEIR_V4}/24", f"{THEIR_V6}/64")) as client, \
            serving(f"net_af_packet0,iface={client.port}", "http://127.0.0.1:9", tmp_path) as node:
        subprocess.run(["ip", "link", "del", client.port], check=True)
        turns = transport(node)["turns"]
        until(lambda: transport(node)["turns"] > turns, "the worker goes on")
        assert node.status()["state"] == "serving"
    assert node.lines[-1].endswith(" drained")
