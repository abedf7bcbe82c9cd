"""Runs the node, `nearfield-dataplane`, in front of an origin."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from children import Child, Children

from . import ports


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


def start(program: Path, folder: Path, children: Children, *, port: int, origin_port: int, ram: str, workers: int | None,
          address: str = "127.0.0.1") -> Node:
    """Starts the node and returns once it accepts connections."""
    folder.mkdir(parents=True, exist_ok=True)
    control = folder / "control.sock"
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    argv = [str(program), "--listen", where, "--origin", f"http://127.0.0.1:{origin_port}", "--ram", ram, "--control", str(control)]
    if workers:
        argv += ["--workers", str(workers)]
    child = children.start("the node (nearfield-dataplane)", argv, folder / "node.log")
    deadline = time.monotonic() + 20
    while child.alive() and time.monotonic() < deadline:
        if ports.accepts(address, port):
            return Node(child, port, control)
        time.sleep(0.02)
    why = "does not accept connections after 20 s" if child.alive() else "did not start: " + child.describe_exit()
    raise NodeError(f"the node {why}\n    " + "\n    ".join(child.last_lines()))
