#!/usr/bin/env python3
"""The main job: makes an album, starts an origin and a node in front of it, and says where to listen.

`./dev run` builds the node and starts this inside the SDK root. A browser then plays the album through the node once, unseen
(unless --no-player-check), and a line tells what the node does until Ctrl-C. Whatever way this ends, it leaves no process
and no temporary file behind; the album stays in the cache for the next time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import scratch  # noqa: E402
from children import Children, Stopped, ToolError  # noqa: E402
from cmaf import album as albums  # noqa: E402
from cmaf import source  # noqa: E402
from progress import Progress  # noqa: E402
from serve import authority, counters, docroot, node, origin, player_check, ports, signing  # noqa: E402
from serve import link as links  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 8080
DEFAULT_HTTPS_PORT = 8443


class Failed(Exception):
    """Ends the program with its message and status 1."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev run", description="A node serves an album to a listening page.")
    parser.add_argument("--album", metavar="DIR", help="play your own .flac and .wav files of this folder instead")
    parser.add_argument("--transport", choices=("uring", "dpdk"), default="uring",
                        help="what carries the node's bytes: the kernel's sockets on 127.0.0.1 (uring, the default), or packets of the node's own (dpdk), "
                             "over a link to a network namespace")
    parser.add_argument("--port", type=_port, help=f"the port number of the node (default {DEFAULT_PORT}; on 127.0.0.1 another if that is in use)")
    parser.add_argument("--https-port", type=_port, metavar="PORT", help=f"the same for https and HTTP/2 (default {DEFAULT_HTTPS_PORT})")
    parser.add_argument("--no-https", action="store_true", help="http only, and no certificate authority of this machine is made")
    parser.add_argument("--ram", default="512M", help="the node's cache in RAM (default 512M)")
    parser.add_argument("--workers", type=_positive, help="the node's threads (default: its own choice)")
    parser.add_argument("--cache", metavar="DIR", help="where made albums are kept (default: the user's cache folder)")
    parser.add_argument("--node", metavar="FILE", help="the nearfield-dataplane to run (default: build/release's)")
    parser.add_argument("--no-player-check", action="store_true", help="do not let a browser play the album first")
    parser.add_argument("--once", action="store_true", help="end after the player check, with its result as status")
    options = parser.parse_args(arguments)
    if options.once and options.no_player_check:
        parser.error("--once ends after the player check, which --no-player-check leaves out")
    if options.no_https and options.https_port:
        parser.error("--https-port is for https, which --no-https leaves out")
    moves = options.transport != "dpdk" and not options.https_port  # to the next free one, by itself
    if not options.no_https and not moves and (options.port or DEFAULT_PORT) == (options.https_port or DEFAULT_HTTPS_PORT):
        parser.error(f"--port and --https-port are both {options.port or DEFAULT_PORT}: http and https want one each")
    if options.transport == "dpdk" and (options.workers or 1) > links.WORKERS:
        parser.error(f"--workers {options.workers}: with --transport dpdk there is {links.WORKERS}, as the link has one queue (docs/dpdk.md says why)")
    if not re.fullmatch(r"[1-9][0-9]{0,8}[KMGT]?", options.ram):
        parser.error(f"--ram {options.ram}: want a size such as 512M or 2G")
    return options


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: a port is a number from 1 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text}: want a number from 1 to 1024")
    return int(text)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    progress = Progress()
    children = Children()
    received: list[int] = []

    def stop(number: int, _frame) -> None:
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)  # from here on we are on the way out
        received.append(number)
        raise Stopped()

    served = False
    belongings = contextlib.ExitStack()
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        work = belongings.enter_context(scratch.folder("run"))
        link = belongings.enter_context(links.laid()) if options.transport == "dpdk" else None
        running = start(options, work, link, children, progress)
        served = True  # before saying so: whoever reads the address may interrupt us at once
        progress.note(f"\n    Listen: {running.url}\n" + (f"    or:     {running.https_url}\n" if running.https_url else ""))
        if running.https_url:
            progress.note(authority.how_to_trust(running.identity.authority.certificate_file, running.https_url))
        checked = check_players(options, running, children, progress)
        if options.once:
            return 0 if checked else 1
        watch(running, children, progress)
        return 1
    except Stopped:
        progress.note("stopping")
        return 0 if served else 128 + (received[0] if received else signal.SIGINT)
    except (Failed, source.SourceError, ToolError, links.LinkError, node.NodeError, origin.OriginError, docroot.PlayersMissing, ports.PortTaken) as error:
        progress.note(f"run: {error}")
        return 1
    except OSError as error:
        progress.note(f"run: {error.filename or 'the system'}: {error.strerror}")
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        progress.end_live()
        children.stop_all()
        belongings.close()


@dataclass
class Identity:
    """Who the node is to browsers that speak https."""
    authority: authority.Authority
    folder: Path
    addresses: list[str]
    leaf: authority.Leaf = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.leaf = self.authority.issue(self.folder, self.addresses)


@dataclass
class Running:
    url: str
    node: node.Node
    root: Path  # the origin's document root
    album: albums.MadeAlbum | None = None
    signer: signing.Signer | None = None
    https_url: str | None = None
    identity: Identity | None = None


def start(options: argparse.Namespace, work: Path, link: links.Link | None, children: Children, progress: Progress) -> Running:
    program = node.find_program(REPOSITORY, options.node)
    if link:
        node.require_dpdk(program, work)
    else:
        for wanted in (options.port, options.https_port):
            with ports.chosen("127.0.0.1", wanted, may_move=False) if wanted else contextlib.nullcontext():
                pass  # say so now, not after the album is made
    modules = docroot.ensure_node_modules(REPOSITORY, children, progress.note)
    wanted = source.own_album()
    if options.album:
        folder = Path(os.environ.get("NEARFIELD_STARTED_IN", os.getcwd()), options.album)
        wanted = source.album_of(folder, children)
    made = albums.make(wanted, _cache(options), children, progress)
    for reason in made.description["skipped"]:
        progress.note(f"album: left out: {reason}")

    signer = signing.Signer()
    root = docroot.lay_out(work, made.folder, made.key, modules, signer)
    with link.node_side.inside() if link else contextlib.nullcontext():
        _, origin_port = origin.start(work / "origin", root, children)
    identity = None
    if not options.no_https:
        own = authority.Authority(_kept() / "authority")
        identity = Identity(own, work / "identity", [one for one in (link.v4, link.v6) if one] if link else [])
        if own.is_new:
            progress.note("https: made an authority for this machine; browsers do not trust it yet, see below")
    with contextlib.ExitStack() as claims:
        port = _claimed(claims, link, options.port, DEFAULT_PORT, progress)
        https = None
        if identity:
            https = node.Https(_claimed(claims, link, options.https_port, DEFAULT_HTTPS_PORT, progress), identity.leaf)
        started = node.start(program, work / "node", children, port=port, origin_port=origin_port, ram=options.ram,
                             workers=options.workers, link=link, https=https, signed_by=signer.write_public_keys(work / "signing.jwks"))
    for line in started.child.last_lines(40):
        if warned := re.search(r"\bwarn(?:ing)? (.*hugepages.*)", line):
            progress.note(f"node: {warned[1]}")
    where = [f"{link.v4}:{port}", *([f"[{link.v6}]:{port}"] if link.v6 else [])] if link else [f"127.0.0.1:{port}"]
    if link:
        progress.note(f"link: {link.interface} leads to the namespace of node and origin; DPDK has its other end")
    progress.note(f"origin: nginx on 127.0.0.1:{origin_port} · node: {', '.join(where)} · control socket: {started.control}")
    running = Running(f"http://{where[0]}/", started, root, made, signer)
    if https:
        running.identity, running.https_url = identity, f"https://{link.v4 if link else 'localhost'}:{https.port}/"
    return running


def _claimed(claims: contextlib.ExitStack, link: links.Link | None, wanted: int | None, usual: int, progress: Progress) -> int:
    """A port for the node until the claims are given up, when it listens there."""
    if link:
        return wanted or usual  # over a link the node has every port number to itself
    port = claims.enter_context(ports.chosen("127.0.0.1", wanted or usual, may_move=wanted is None))
    if port != (wanted or usual):
        progress.note(f"port {usual} is in use, the node listens on {port}")
    return port


def check_players(options: argparse.Namespace, running: Running, children: Children, progress: Progress) -> bool:
    """One lossless and one spatial rendition, one with each player; https where there is https."""
    if options.no_player_check:
        return True
    tracks = albums.description_of(running.root)["tracks"]
    first = tracks[0]["renditions"][0]["name"]
    cases = [player_check.Case("hls", 0, first)]
    spatial = next((one["name"] for one in tracks[-1]["renditions"] if one["codecs"].startswith("iamf")), None)
    if spatial:
        cases.append(player_check.Case("shaka", len(tracks) - 1, spatial))
    if running.signer:
        cases.append(player_check.Case("hls", 0, first, seconds=1.5, album="signed"))
    progress.live("a browser plays the album through the node, unseen ...")
    try:
        trusted = running.identity.leaf if running.identity else None
        outcomes = player_check.run(running.https_url or running.url, running.root, cases, children, trusted=trusted, timeout_s=120)
    except ToolError as error:
        progress.note(f"player check: not done: {error}")
        return False
    for outcome in outcomes:
        progress.note(f"player check: {'FAILED: ' if outcome.faults else ''}{outcome.line()}")
    return not any(outcome.faults for outcome in outcomes)


def watch(running: Running, children: Children, progress: Progress) -> None:
    """Tells what the node does until one of the servers ends, which is an error."""
    line = counters.LiveLine()
    signed = time.monotonic()
    progress.note("Ctrl-C stops everything.")
    while True:
        dead = children.first_dead()
        if dead:
            tail = "\n    ".join(dead.last_lines()) or "(it wrote nothing)"
            raise Failed(f"{dead.describe_exit()}; its last words:\n    {tail}")
        if running.identity and running.identity.leaf.is_near_its_end():
            running.identity.renew()
            running.node.reload()
        if running.signer and time.monotonic() > signed + signing.RENEWAL_S:
            docroot.sign(running.root, running.album.folder, running.album.key, running.signer)
            signed = time.monotonic()
        progress.live(line.text(counters.read(running.node.control)))
        time.sleep(1.0)


def _cache(options: argparse.Namespace) -> Path:
    if options.cache:
        return Path(os.environ.get("NEARFIELD_STARTED_IN", os.getcwd()), options.cache)
    return _kept() / "albums"


def _kept() -> Path:
    """The folder of the user's cache for what is made once."""
    return Path(os.environ.get("NEARFIELD_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "nearfield"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
