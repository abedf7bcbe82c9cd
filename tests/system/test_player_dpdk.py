"""The main job over a link: `./dev run --transport dpdk` has the album played from packets of the node's own, and leaves nothing of the link."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import Children
from dpdk_support import impaired_program, needs_dpdk
from node_support import until
from run_support import album_folder, descendants, gone, place, program, read_until, run, work_folder  # noqa: F401

from serve import link as links
from serve import player_check, veth
from serve.network_namespace import NetworkNamespace

_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def interface_of(said: str) -> str:
    return re.search(r"^link: (nearfield\d+) ", said, re.MULTILINE)[1]


def has_interface(name: str) -> bool:
    return name in re.findall(r"^ *(\S+):", Path("/proc/thread-self/net/dev").read_text(), re.MULTILINE)


def address_flags(interface: str) -> list[int]:
    """Of its IPv6 addresses, as Linux numbers them."""
    addresses = [line.split() for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines()]
    return [int(address[4], 16) for address in addresses if address[5] == interface]


def namespaces_of(pids: set[int]) -> set[str]:
    return {os.readlink(f"/proc/{pid}/ns/net") for pid in pids}


def is_left(namespace: str) -> bool:
    """Whether a process is in the namespace, or has it open, or it has a name."""
    places = ["/proc/self/mountinfo"]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if namespace in [os.readlink(entry / "ns/net"), *(os.readlink(one) for one in (entry / "fd").iterdir())]:
                    return True
    return any(namespace in Path(one).read_text() for one in places)


def wait_until_gone(interface: str, timeout_s: float = 10) -> None:
    """The kernel takes down what was in a namespace some time after its last process."""
    deadline = time.monotonic() + timeout_s
    while has_interface(interface):
        assert time.monotonic() < deadline, f"{interface} is left"
        time.sleep(0.05)


@needs_dpdk
def test_a_browser_plays_over_the_link(run):
    process = run("--transport", "dpdk", "--once")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for played in ("hls.js plays flac-16-44", "Shaka plays iamf-5.1"):
        assert re.search(rf"{played}: first sample after \d+ ms, 0 rebuffers in \S+ s, \d+ files .* equal to the origin's", said), said
    assert re.search(r"Listen: http://198\.19\.\d+\.10:8080/", said), said
    assert not has_interface(interface_of(said))


@needs_dpdk
def test_a_browser_plays_over_a_bad_link(run):
    process = run("--transport", "dpdk", "--once", "--node", impaired_program(),
                  env={"NEARFIELD_IMPAIRMENT": "seed=7,loss=0.01,reordering=0.02,duplication=0.01"})
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert len(re.findall(r"player check: (?:hls.js|Shaka) plays .* equal to the origin's", said)) == 3, said


@needs_dpdk
def test_addresses_of_a_link_are_ready_at_once():
    """One that becomes ready later is a change of the network: Chromium ends what it loads (ERR_NETWORK_CHANGED)."""
    with contextlib.closing(NetworkNamespace.new()) as nodes, contextlib.closing(NetworkNamespace.new()) as ours:
        veth.join("port", nodes, "theirs", ours, ["198.18.0.1/24", "2001:2::1/64"])
        with ours.inside():
            flags = until(lambda: len(known := address_flags("theirs")) == 2 and known, "both addresses are there")
    tentative = 0x40
    assert not any(each & tentative for each in flags), flags


@needs_dpdk
def test_a_browser_plays_over_ipv6(run):
    process = run("--transport", "dpdk", "--no-player-check")
    said = read_until(process, r"Listen: ")
    address = re.search(r"node: .*(\[[0-9a-f:]+\]:\d+)", said)[1]
    children = Children()
    try:
        [outcome] = player_check.run(f"http://{address}/", work_folder(said) / "docroot", [player_check.Case("hls", 0, "flac-16-44")], children,
                                     timeout_s=60)
    finally:
        children.stop_all()
    assert not outcome.faults, outcome.line()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


@needs_dpdk
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_machine_hears_the_node_and_a_signal_takes_all_of_it_away(run, place, number):
    process = run("--transport", "dpdk", "--no-player-check", "--port", "8123")
    said = read_until(process, r"^node: .* requests")
    interface, url = interface_of(said), re.search(r"Listen: (\S+)", said)[1]
    addresses = re.search(r"node: (.*:8123) ", said)[1].split(", ")
    assert url == f"http://{addresses[0]}/"
    segment = "01/flac-16-44/00001.m4s"
    bodies = set()
    for address in addresses:  # of both families
        with _DIRECTLY.open(f"http://{address}/album.json", timeout=5) as answer:
            base = json.load(answer)["base"]
        with _DIRECTLY.open(f"http://{address}/{base}{segment}", timeout=5) as answer:
            bodies.add(answer.read())
    assert bodies == {(work_folder(said) / "docroot" / base / segment).read_bytes()}
    read_until(process, rf"^node: {2 * len(addresses)} requests .* served")

    belongings = descendants(process.pid)
    assert len(belongings) >= 3  # nginx, its worker, the node
    [theirs] = namespaces_of(belongings)
    assert theirs != os.readlink("/proc/self/ns/net") and has_interface(interface)
    process.send_signal(number)
    assert process.wait(20) == 0
    assert not has_interface(interface) and gone(belongings) and not is_left(theirs)
    assert list(place.iterdir()) == []


@needs_dpdk
def test_even_a_killed_run_leaves_no_link(run):
    process = run("--transport", "dpdk", "--no-player-check")
    alive = run("--transport", "dpdk", "--no-player-check")
    said, others = read_until(process, "Listen: "), read_until(alive, "Listen: ")
    belongings = descendants(process.pid)
    [theirs] = namespaces_of(belongings)
    assert interface_of(said) != interface_of(others)
    process.kill()
    process.wait(10)
    assert gone(belongings) and not is_left(theirs)
    wait_until_gone(interface_of(said))
    with _DIRECTLY.open(re.search(r"Listen: (\S+)", others)[1], timeout=5) as answer:  # its own link is as it was
        assert answer.status == 200
    alive.send_signal(signal.SIGINT)
    assert alive.wait(20) == 0
    assert not has_interface(interface_of(others))


def complaint(process) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode in (1, 2) and "Traceback" not in said, said
    return said.rstrip("\n").split("\n")[-1] if process.returncode == 2 else re.fullmatch(r"(run: .*)\n", said)[1]


@pytest.mark.parametrize("missing", ["sys_admin", "net_admin", "net_raw"])
def test_a_missing_permission_is_one_line(run, missing):
    assert "--transport dpdk wants root" in complaint(run("--transport", "dpdk", wrapper=["setpriv", f"--bounding-set=-{missing}"]))


@pytest.fixture
def scripts(tmp_path) -> Iterator[Path]:
    """A folder of programs that are found before others."""
    (tmp_path / "bin").mkdir()
    yield tmp_path / "bin"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_kernel_without_veth_is_one_line(run, scripts):
    real = shutil.which("ip")
    script(scripts / "ip", f'case "$*" in *veth*) echo "Error: Unknown device type." >&2; exit 2 ;; *) exec {real} "$@" ;; esac')
    assert "modprobe veth" in complaint(run("--transport", "dpdk", env={"PATH": f"{scripts}:{os.environ['PATH']}"}))


def test_a_build_without_dpdk_is_one_line(run, scripts):
    without = script(scripts / "dataplane", 'echo "$2: node.transport: dpdk is not in this build" >&2; exit 1')
    assert complaint(run("--transport", "dpdk", "--node", str(without))) == f"run: {without}: node.transport: dpdk is not in this build"


def test_options_that_do_not_go_with_it_are_named(run):
    assert "--workers 2: with --transport dpdk there is 1" in complaint(run("--transport", "dpdk", "--workers", "2"))
    assert "invalid choice: 'tcp'" in complaint(run("--transport", "tcp"))


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """This thread in an empty network namespace."""
    with contextlib.closing(NetworkNamespace.new()) as namespace, namespace.inside():
        veth.ip("link", "set", "lo", "up")
        yield


def test_links_keep_off_networks_of_the_machine_and_of_one_another(elsewhere):
    veth.ip("route", "add", "blackhole", "198.19.0.0/25")
    veth.ip("route", "add", "blackhole", "2001:2::/56")  # of the first 256
    veth.ip("route", "add", "blackhole", "128.0.0.0/1")  # half of everything, as VPNs have it
    with pytest.raises(links.LinkError, match="ip route"), links.laid():
        pass
    veth.ip("-6", "route", "del", "blackhole", "2001:2::/56")
    with links.laid() as first, links.laid() as second:
        assert (first.interface, first.v4) == ("nearfield1", "198.19.1.10")
        assert (second.interface, second.v4) == ("nearfield2", "198.19.2.10")
        assert has_interface("nearfield1") and has_interface("nearfield2")
    assert not has_interface("nearfield1") and not has_interface("nearfield2")


def test_a_failure_in_the_middle_leaves_no_link(elsewhere, monkeypatch):
    def refuse(_) -> None:
        raise OSError("no such offload")

    monkeypatch.setattr(veth, "_complete_checksums", refuse)
    with pytest.raises(links.LinkError, match="no such offload"), links.laid():
        pass
    wait_until_gone("nearfield0")
