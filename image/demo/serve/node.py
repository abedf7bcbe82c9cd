"""Runs the node, `nearfield-dataplane`, in front of an origin."""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from children import Child, Children

from . import ports
from .link import Link


class NodeError(Exception):
    """The node is not built or did not start."""


@dataclass(frozen=True)
class Node:
    child: Child
    port: int
    control: Path  # its control socket


def find_program(repository: Path, given: str | None) -> Path:
    path = Path(given) if given else repository / "build/release/dataplane/nearfield-dataplane"
    if not path.is_file():
        raise NodeError(f"{path}: the node is not built; `./dev build` builds it, and `./dev run` does so by itself")
    return path


def require_dpdk(program: Path, folder: Path) -> None:
    """Raises NodeError, with the node's own words, when it was built without DPDK."""
    configuration = folder / "with-dpdk.toml"
    configuration.write_text('[node]\nlisten = [":80"]\ntransport = "dpdk"\n'
                             '[[origin]]\nname = "any"\nhosts = ["*"]\nservers = ["http://127.0.0.1"]\n'
                             '[[dpdk.port]]\nname = "net_null0"\naddresses = ["192.0.2.1/24"]\n')
    try:
        checked = subprocess.run([program, "--config", configuration, "--check"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 errors="replace", check=False, timeout=30, process_group=0)
    except subprocess.TimeoutExpired:
        raise NodeError(f"{program}: `--check` did not end within 30 s") from None
    if checked.returncode != 0:
        said = checked.stderr.replace(f"{configuration}: ", "").strip() or f"`--check` ended with status {checked.returncode}"
        raise NodeError(f"{program}: {said}")


def start(program: Path, folder: Path, children: Children, *, port: int, origin_port: int, ram: str, workers: int | None,
          link: Link | None = None) -> Node:
    """Starts the node and returns once it accepts connections: on the loopback address or, with a link, at the link's other end, where its
    origin has to be as well."""
    folder.mkdir(parents=True, exist_ok=True)
    control = folder / "control.sock"
    address = link.v4 if link else "127.0.0.1"
    argv = [str(program), "--listen", f":{port}" if link else f"{address}:{port}", "--origin", f"http://127.0.0.1:{origin_port}", "--ram", ram,
            "--control", str(control)]
    if workers:
        argv += ["--workers", str(workers)]
    if link:
        argv += ["--transport", "dpdk", "--port", link.device]
        for one in link.node_addresses:
            argv += ["--address", one]
        argv[:0] = ["env", f"RUNTIME_DIRECTORY={folder}"]  # for what DPDK leaves in the file system
    with link.node_side.inside() if link else contextlib.nullcontext():
        child = children.start("the node (nearfield-dataplane)", argv, folder / "node.log")
    deadline = time.monotonic() + 20
    while child.alive() and time.monotonic() < deadline:
        if ports.accepts(address, port):
            return Node(child, port, control)
        time.sleep(0.02)
    why = "does not accept connections after 20 s" if child.alive() else "did not start: " + child.describe_exit()
    raise NodeError(f"the node {why}\n    " + "\n    ".join(child.last_lines()))
