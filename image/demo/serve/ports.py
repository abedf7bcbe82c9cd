"""Finds TCP ports on the loopback address."""

from __future__ import annotations

import socket


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


def choose(address: str, wanted: int, may_move: bool) -> int:
    """Returns `wanted` when free, else, if it may move, one of the hundred after it, else any the kernel has."""
    if is_free(address, wanted):
        return wanted
    if not may_move:
        raise PortTaken(f"port {wanted} on {address} is in use: stop what listens there (`ss -ltnp 'sport = :{wanted}'`"
                        " names it), or give another --port")
    for port in range(wanted + 1, min(wanted + 100, 65536)):
        if is_free(address, port):
            return port
    return any_free(address)


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
