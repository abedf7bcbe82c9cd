"""Fixtures for the system tests. Whatever a test starts through them is ended after it, and a node that does not end in order fails it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from link_support import TRANSPORT, clients_opposite
from node_support import Node
from origin_support import Nginx, ScriptedOrigin
from process_support import Program


@pytest.fixture(scope="session", autouse=True)
def transport() -> Iterator[None]:
    with clients_opposite() if TRANSPORT == "dpdk" else contextlib.nullcontext():
        yield


@pytest.fixture
def nginx_origin() -> Iterator[Nginx]:
    """A real origin: put(path, data), log(path), stop(), start()."""
    with contextlib.closing(Nginx()) as origin:
        yield origin


@pytest.fixture
def fault_origin() -> Iterator[ScriptedOrigin]:
    """An origin that misbehaves as told: on(target, script), to(target)."""
    with contextlib.closing(ScriptedOrigin()) as origin:
        yield origin


@pytest.fixture
def node() -> Iterator[Callable[..., Node]]:
    """node(origins, more, ...) starts one that serves; see node_support.Node."""
    with contextlib.ExitStack() as started:
        yield lambda *arguments, **named: started.enter_context(Node(*arguments, **named))


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """program("--flag", ...) starts nearfield-dataplane with exactly these arguments; see process_support.Program."""
    with contextlib.ExitStack() as started:
        yield lambda *arguments, **named: started.enter_context(Program(*arguments, **named))
