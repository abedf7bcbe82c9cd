"""Runs the node, `nearfield-dataplane`, in front of an origin."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from children import Child, Children

from . import ports, signing
from .authority import Leaf
from .link import Link


class NodeError(Exception):
    """The node is not built or did not start."""


@dataclass(frozen=True)
class Https:
    """Where the node speaks it, besides http, and as whom."""
    port: int
    leaf: Leaf


@dataclass(frozen=True)
class Node:
    child: Child
    port: int
    control: Path  # its control socket

    def reload(self) -> None:
        """Has it read its certificates again, without dropping a connection."""
        self.child.process.send_signal(signal.SIGHUP)


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
          link: Link | None = None, https: Https | None = None, signed_by: Path | None = None) -> Node:
    """Starts the node and returns once it accepts connections: on the loopback address or, with a link, at the link's other end, where its
    origin has to be as well. `signed_by`: a file of the keys whose tokens let listeners at the signed album."""
    folder.mkdir(parents=True, exist_ok=True)
    control = folder / "control.sock"
    address = link.v4 if link else "127.0.0.1"

    def listen(number: int) -> list[str]:
        return [f":{number}" if link else f"{address}:{number}"]

    node = {"listen": listen(port), "control": str(control), **({"workers": workers} if workers else {}), **({"transport": "dpdk"} if link else {})}
    # As many as a first look by flags takes; more descriptors than that not every machine allows.
    lines = ["[node]", *_settings(node), "[cache]", *_settings({"ram": ram}), "[limits]", *_settings({"connections": 10_000}),
             "[[origin]]", *_settings({"name": "origin", "hosts": ["*"], "servers": [f"http://127.0.0.1:{origin_port}"]})]
    if https:
        certificate = {"certificate": str(https.leaf.certificate), "key": str(https.leaf.key)}
        lines += ["[tls]", *_settings({"listen": listen(https.port)}), "[[tls.certificates]]", *_settings(certificate)]
    if signed_by:
        lines += ["[access]", *_settings({"unmatched": "open"}),
                  "[[access.key_sets]]", *_settings({"name": "demo", "files": [str(signed_by)], "issuers": [signing.ISSUER]}),
                  "[[access.rules]]", *_settings({"path": f"/{signing.PREFIX}/", "mode": "signed", "tokens": ["uri_signing"], "key_sets": ["demo"]})]
    if link:
        # Ordinary pages: the link is a virtual device, and a machine may have no others.
        lines += ["[dpdk]", *_settings({"hugepages": False})]
        lines += ["[[dpdk.port]]", *_settings({"name": link.device, "addresses": link.node_addresses})]
    configuration = folder / "node.toml"
    configuration.write_text("\n".join(lines) + "\n")

    argv = [str(program), "--config", str(configuration)]
    if link:
        argv[:0] = ["env", f"RUNTIME_DIRECTORY={folder}"]  # for what DPDK leaves in the file system
    with link.node_side.inside() if link else contextlib.nullcontext():
        child = children.start("the node (nearfield-dataplane)", argv, folder / "node.log")
    deadline = time.monotonic() + 20
    awaited = [port, *([https.port] if https else [])]
    while child.alive() and time.monotonic() < deadline:
        if all(ports.accepts(address, one) for one in awaited):
            return Node(child, port, control)
        time.sleep(0.02)
    why = "does not accept connections after 20 s" if child.alive() else "did not start: " + child.describe_exit()
    raise NodeError(f"the node {why}\n    " + "\n    ".join(child.last_lines()))


def _settings(table: dict) -> list[str]:
    """TOML writes texts, numbers and lists of them as JSON does."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
