"""A node to be abused: after every test it serves the next client, whatever was done to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from node_support import group
from origin_support import content
from tls_client_support import ALERT, TlsWire
from tls_support import TlsNode
from wire_support import Broken, Wire

KIB, MIB = 1024, 1024 * 1024
SONG = content(300_000)


@pytest.fixture(scope="module")
def node(origin, leaf) -> Iterator[TlsNode]:
    origin.put("/song", SONG)
    with TlsNode(group(origin.url), [leaf]) as started:
        yield started


@pytest.fixture(autouse=True)
def goes_on(request) -> Iterator[None]:
    yield
    if "node" in request.fixturenames:
        with TlsWire(request.getfixturevalue("node").tls_port) as wire:
            assert wire.ask("/song").body == SONG


def plain_alert(wire: Wire) -> int:
    """The alert in clear text that a handshake ends with."""
    header = wire.exactly(5)
    assert header[0] == ALERT and header[3:] == b"\0\2", header + wire.buffer
    level, description = wire.exactly(2)
    assert level == 2
    assert wire.is_closed()
    return description


def ends_with(wire: TlsWire, alert: int) -> None:
    """An alert, and nothing behind it."""
    assert wire.alert() == alert
    try:
        more = wire._raw_exactly(1)
    except Broken:
        return
    raise AssertionError(f"after its alert: {more!r}")


def flipped(sealed: bytes, at: int) -> bytes:
    changed = bytearray(sealed)
    changed[at] ^= 1
    return bytes(changed)
