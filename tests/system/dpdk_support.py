"""A node with packets of its own, on a port of any driver, good or behind a bad link."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespace_support import Namespace
from node_support import group, node_program, until
from process_support import Program

V4, V6, PORT = "198.18.7.10", "fd6e:6663::10", 8080
THEIR_V4, THEIR_V6 = "198.18.7.1", "fd6e:6663::1"


def _has_dpdk() -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(f'[node]\nlisten = [":80"]\ntransport = "dpdk"\n{group("http://127.0.0.1")}'
                     '[[dpdk.port]]\nname = "net_null0"\naddresses = ["192.0.2.10/24"]\n')
        config.flush()
        checked = subprocess.run([str(node_program()), "--config", config.name, "--check"], capture_output=True, text=True, check=False)
    if checked.returncode == 0:
        return True
    assert 'transport "dpdk" is not in this build' in checked.stderr, checked.stderr
    return False


needs_dpdk = pytest.mark.skipif(not _has_dpdk(), reason="this build has no DPDK: pkg-config finds no libdpdk, or NEARFIELD_DPDK is OFF")


def impaired_program() -> Path:
    # Beside the node, wherever that was built.
    program = node_program().parents[1] / "tests" / "node" / "nearfield-dataplane-impaired"
    assert program.is_file(), f"{program} is not built: `./dev build` first"
    return program


@contextlib.contextmanager
def serving(device: str, origin: str, folder: Path, *, impairment: str = "", workers: int = 1, addresses: tuple[str, ...] = (),
            port: str = "", more: str = "", memory: str = "64M", ram: str = "64M", limits: str = "connections = 2000",
            **options: Any) -> Iterator[Program]:
    """A node that owns `device`, a DPDK name with its arguments; `port` are further keys of [[dpdk.port]], `more` of [dpdk]. `impairment` is
    NEARFIELD_IMPAIRMENT, see tests/node/impaired_node.cc; without one it is the node itself."""
    control = Path(tempfile.mkdtemp(prefix="nearfield-test-")) / "c.sock"  # short: a socket's path has 80 bytes
    config = folder / "node.toml"
    listed = ", ".join(f'"{address}"' for address in addresses or (f"{V4}/24", f"{V6}/64"))
    config.write_text(f"""\
[node]
listen = [":{PORT}"]
transport = "dpdk"
workers = {workers}
control = "{control}"
drain_timeout = "1s"
[cache]
ram = "{ram}"
hugepages = false
[limits]
{limits}
{group(origin)}
[dpdk]
hugepages = false
memory = "{memory}"
{more}
[[dpdk.port]]
name = "{device}"
addresses = [{listed}]
{port}
""")
    with contextlib.ExitStack() as changed:
        if impairment:
            environment = changed.enter_context(pytest.MonkeyPatch.context())
            environment.setenv("NEARFIELD_NODE", str(impaired_program()))
            options["env"] = os.environ | {"NEARFIELD_IMPAIRMENT": impairment}
        program = changed.enter_context(Program("--config", config, control=control, **options))
        yield program.serves()
        assert program.process.poll() is None, program.log
    assert program.process.returncode == 0, program.log


@contextlib.contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """What the calling thread starts meanwhile is there."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace.enter()
        yield
    finally:
        os.setns(back, os.CLONE_NEWNET)
        os.close(back)


def url(path: str, address: str) -> str:
    return f"http://{f'[{address}]' if ':' in address else address}:{PORT}{path}"


def curl(client: Namespace, path: str, address: str, *more: str, patience_s: int = 20) -> bytes:
    done = client.run("curl", "-sS", "--fail", "--max-time", patience_s, *more, url(path, address))
    assert done.returncode == 0, done.stderr
    return done.stdout


def transport(program: Program) -> dict[str, int]:
    """Its counters, as the workers publish them a few times a second."""
    return program.told("/v1/counters")["transport"]


def counted(program: Program, name: str, least: int = 1) -> None:
    until(lambda: transport(program)[name] >= least, f"{name} reaches {least}")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
