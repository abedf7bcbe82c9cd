"""A node's files in a folder of their own, for tests that start and end the process themselves (process_support.Program)."""

from __future__ import annotations

from pathlib import Path

import pytest
from link_support import Link, Loopback
from node_support import configuration, group


@pytest.fixture
def place(tmp_path_factory) -> Path:
    # Short: a socket's path has 80 bytes.
    return tmp_path_factory.mktemp("n")


class Files:
    """A node's configuration and what it names, in one folder."""

    def __init__(self, place: Path, link: Link | Loopback):
        self.link = link
        self.control = place / "c"
        self.config = place / "node.toml"
        self.access = place / "access.jsonl"

    def write(self, origin_url: str, *, workers: int = 2, drain: str = "10s", more: str = "") -> Path:
        self.config.write_text(configuration(self.link, self.control, group(origin_url), f'[access_log]\npath = "{self.access}"\n{more}',
                                             workers=workers, drain=drain, ram="64M"))
        return self.config

    def change(self, old: str, new: str) -> int:
        """Exchanges what is there once, and returns the number of its line."""
        text = self.config.read_text()
        before, after = text.split(old)
        self.config.write_text(before + new + after)
        return before.count("\n") + 1


@pytest.fixture
def files(place, link) -> Files:
    return Files(place, link)
