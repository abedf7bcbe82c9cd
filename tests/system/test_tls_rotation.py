"""The command lines of docs/tls.md that exchange the ticket keys of a site, as they stand there: no session is lost on the way."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from node_support import REPOSITORY, group
from origin_support import content
from tls_client_support import Hello, TlsWire
from tls_support import TlsNode
from wire_support import NAME

SONG = content(100_000)


def commands() -> list[str]:
    """Of the section "Tickets", each without its comment."""
    section = (REPOSITORY / "docs" / "tls.md").read_text().split("\n## Tickets\n")[1].split("\n## ")[0]
    [block] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line for line in block.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def site(ending, ca, origin, tmp_path):
    """Two nodes of a site, each with a folder of its own; run(command) is what their operator does on both of them."""
    origin.put("/song", SONG)
    folders = [tmp_path / "one", tmp_path / "two"]
    leaf = ca.issue(NAME)
    nodes: list[TlsNode] = []

    def run(folder, command: str) -> None:
        done = subprocess.run(["bash", "-euc", command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)

    make, *steps = commands()
    for folder in folders:
        folder.mkdir()
    run(folders[0], make.replace("> new", "> tickets"))
    shutil.copy2(folders[0] / "tickets", folders[1])
    for folder in folders:
        nodes.append(ending.enter_context(TlsNode(group(origin.url), [leaf], f'ticket_keys = "{folder}/tickets"')))
    return folders, nodes, run, make, steps


def test_ticket_keys_of_a_site_are_exchanged(site):
    folders, nodes, run, make, steps = site
    assert len(steps) == 3
    tickets = []

    def visit(node: TlsNode, ticket=None) -> bool:
        with TlsWire(node.tls_port, hello=Hello(ticket=ticket)) as wire:
            assert wire.ask("/song").body == SONG
            tickets.append(wire.tickets[0])
            return wire.resumed

    visit(nodes[0])
    for _ in range(2):  # exchanges
        run(folders[0], make)
        shutil.copy2(folders[0] / "new", folders[1])
        for step in steps:
            for folder, node in zip(folders, nodes):
                run(folder, step)
                assert (folder / "tickets").stat().st_mode & 0o777 == 0o600
                status, answer = node.call("POST", "/v1/reload")
                assert status == 200, answer
                # One node is a step ahead of the other now, and listeners go to and fro.
                if step is not steps[-1]:
                    for each in nodes:
                        assert [visit(nodes[0], tickets[-1]), visit(nodes[1], tickets[-1]), visit(each, tickets[0])] == 3 * [True], step
        assert {node.status()["tls"]["ticket_keys"] for node in nodes} == {1}
        assert len({(folder / "tickets").read_bytes() for folder in folders}) == 1
        # The day is over at which the first key's tickets end.
        assert [visit(node, tickets[0]) for node in nodes] == [False, False]
        tickets[:] = tickets[-1:]
        assert [visit(node, tickets[0]) for node in nodes] == [True, True]
