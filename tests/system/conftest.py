"""Fixtures for the system tests. Whatever a test starts through them is ended after it, and a node that does not end in order fails it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from certificate_support import Authority, Leaf
from link_support import TRANSPORT, Link, Loopback, clients_opposite, new_link
from node_support import Node
from origin_support import Nginx, ScriptedOrigin
from process_support import Program
from wire_support import NAME


@pytest.fixture(scope="session", autouse=True)
def transport() -> Iterator[None]:
    with clients_opposite() if TRANSPORT == "dpdk" else contextlib.nullcontext():
        yield


@pytest.fixture
def nginx_origin() -> Iterator[Nginx]:
    """A real origin: put(path, data), log(path), stop(), start()."""
    with contextlib.closing(Nginx()) as origin:
        yield origin


@pytest.fixture(scope="module")
def origin() -> Iterator[Nginx]:
    """The same for all tests of a file."""
    with contextlib.closing(Nginx()) as server:
        yield server


@pytest.fixture
def fault_origin() -> Iterator[ScriptedOrigin]:
    """An origin that misbehaves as told: on(target, script), to(target)."""
    with contextlib.closing(ScriptedOrigin()) as origin:
        yield origin


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca: Authority) -> Leaf:
    return ca.issue(NAME)


@pytest.fixture
def ending() -> Iterator[contextlib.ExitStack]:
    """What is in it ends after the test, the last first: nodes before the link that they are on, in whatever order a test names its fixtures."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def link(ending: contextlib.ExitStack) -> Link | Loopback:
    """Between clients and one node at a time, which is told of it by configuration(link, ...) or link.flags()."""
    return ending.enter_context(contextlib.closing(new_link()))


@pytest.fixture
def node(ending: contextlib.ExitStack) -> Callable[..., Node]:
    """node(origins, more, ...) starts one that serves; see node_support.Node."""
    return lambda *arguments, **named: ending.enter_context(Node(*arguments, **named))


@pytest.fixture
def program(ending: contextlib.ExitStack) -> Callable[..., Program]:
    """program("--flag", ...) starts nearfield-dataplane with exactly these arguments; see process_support.Program."""
    return lambda *arguments, **named: ending.enter_context(Program(*arguments, **named))
