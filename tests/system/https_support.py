"""A node's files for https in a folder of their own, for tests that start and end the process themselves (process_support.Program)."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificate_support import Authority, Leaf
from link_support import Link, Loopback
from node_support import configuration, group
from origin_support import content
from process_support import Program
from tls_support import SslWire, tls_table
from wire_support import NAME

BIG = content(6_000_000)


class Files:
    """A node's configuration and what it names. Clear text is on IPv6, TLS on IPv4: on ports of their own, or the same."""

    def __init__(self, place: Path, link: Link | Loopback, ca: Authority):
        self.place, self.link, self.ca = place, link, ca
        self.control, self.config = place / "c", place / "node.toml"
        self.leaf = ca.issue(NAME, f"*.{NAME}")
        self.others: list[Leaf] = []

    def write(self, origin_url: str, *, tls: str = "", more: str = "", origin: str = "", drain: str = "10s", control: Path | None = None) -> Path:
        """`tls` are further keys of [tls], `origin` tables of the group, `more` further tables."""
        table = tls_table((self.link.listens("127.0.0.1:0"),), [self.leaf, *self.others], tls)
        self.config.write_text(configuration(self.link, control or self.control, group(origin_url, more=origin), table + more, listen=("[::1]:0",),
                                             drain=drain, ram="64M"))
        return self.config

    def renew(self, **how) -> None:
        self.ca.issue(NAME, f"*.{NAME}", to=self.leaf, **how)

    def connect(self, node: Program, version: str = "1.3", **options) -> SslWire:
        return SslWire(node.tls_port(), self.ca.context(version), **options)


@pytest.fixture
def files(tmp_path_factory, link, ca) -> Files:
    return Files(tmp_path_factory.mktemp("n"), link, ca)  # short: a socket's path has 80 bytes


@pytest.fixture
def start(program, files):
    """start(...) serves with files.config; see process_support.Program."""
    def started(*arguments: object):
        return program("--config", files.config, *arguments, control=files.control).serves()
    return started
