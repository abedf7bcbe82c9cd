"""Finds TCP ports on the loopback address."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


class PortTaken(Exception):
    """Somebody listens there already."""


def is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free, as servers see it
        try:
            probe.bind((address, port))
            return True
        except OSError:
            return False


@contextlib.contextmanager
def chosen(address: str, wanted: int, may_move: bool) -> Iterator[int]:
    """`wanted` when free, else, if it may move, one of the hundred after it, else any the kernel has. Inside the block no other
    run chooses the same one: between looking and listening two that start at the same moment would."""
    for port in range(wanted, min(wanted + 100, 65536)):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as claim:
            if is_free(address, port) and _claim(claim, port):
                if is_free(address, port):  # whoever had claimed it may listen by now
                    yield port
                    return
        if not may_move:
            raise PortTaken(f"port {wanted} on {address} is in use: stop what listens there (`ss -ltnp 'sport = :{wanted}'`"
                            " names it), or give another --port")
    yield any_free(address)


def _claim(claim: socket.socket, port: int) -> bool:
    """An abstract name: the kernel keeps it per network namespace, as it does ports, and frees it however a process ends."""
    try:
        claim.bind(f"\0nearfield-run-port-{port}")
        return True
    except OSError:
        return False


def any_free(address: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=0.5):
            return True
    except OSError:
        return False
