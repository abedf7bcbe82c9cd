"""curl, OpenSSL and GnuTLS as programs: clients of a node, and servers of others."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import threading
import tty
from collections.abc import Iterator

from certificate_support import Authority, Leaf
from link_support import at_home, dialled
from link_support import authority as authority_of
from node_support import PATIENCE_S, until
from wire_support import NAME, request


def url(port: int, path: str, name: str = NAME) -> str:
    return f"https://{name}:{port}{path}"


def curl(authority: Authority, port: int, path: str, *options: str, name: str = NAME, address: str = "127.0.0.1",
         patience_s: int = 30) -> subprocess.CompletedProcess:
    """The node is found by a name of its certificate."""
    host = dialled(port, address)
    return subprocess.run(["curl", "-sS", "--max-time", str(patience_s), "--cacert", str(authority.file), "--resolve",
                           f"{name}:{port}:{f'[{host}]' if ':' in host else host}", *options, url(port, path, name)],
                          capture_output=True, timeout=patience_s + 10, check=False)


class Transcript:
    """What s_client or gnutls-cli said of a connection."""

    def __init__(self, done: subprocess.CompletedProcess):
        self.code = done.returncode
        self.text = done.stdout.decode("latin-1") + done.stderr.decode("latin-1")
        self.bytes = done.stdout

    def found(self, pattern: str) -> str:
        match = re.search(pattern, self.text)
        assert match, f"{pattern!r} is not in:\n{self.text}"
        return match[1] if match.re.groups else match[0]

    def says(self, *patterns: str) -> Transcript:
        for pattern in patterns:
            self.found(pattern)
        return self


def get(path: str, name: str = NAME) -> bytes:
    """A request after which the node closes."""
    return request(path, "Connection: close", host=name)


def s_client_command(authority: Authority, port: int, *options: str, name: str | None = NAME) -> list[str]:
    """The certificate must be the name's."""
    sni = ["-servername", name, "-verify_hostname", name] if name else ["-noservername"]
    return ["openssl", "s_client", "-connect", authority_of(port), "-CAfile", str(authority.file), "-verify_return_error", *sni, *options]


def s_client(authority: Authority, port: int, *options: str, send: bytes = b"", name: str | None = NAME) -> Transcript:
    """openssl s_client until the node ends the connection."""
    return Transcript(subprocess.run(s_client_command(authority, port, "-ign_eof", *options, name=name), input=send, capture_output=True, timeout=40,
                                     check=False))


def gnutls_command(authority: Authority, port: int, *options: str) -> list[str]:
    return ["gnutls-cli", "--port", str(port), "--x509cafile", str(authority.file), "--sni-hostname", NAME, "--verify-hostname", NAME, *options,
            dialled(port)]


def gnutls(authority: Authority, port: int, *options: str, send: bytes = b"") -> Transcript:
    return Transcript(subprocess.run(gnutls_command(authority, port, *options), input=send, capture_output=True, timeout=40, check=False))


class Interactive:
    """A program that is typed to, each line when it said something. It speaks to a terminal, else it would keep what it says."""

    def __init__(self, *command: str):
        self._terminal, theirs = pty.openpty()
        tty.setraw(theirs)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, bufsize=0)
        os.close(theirs)
        self.said = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that nobody has any more
            while part := os.read(self._terminal, 65536):
                self.said += part

    def types(self, text: str) -> Interactive:
        self.process.stdin.write(text.encode())
        return self

    def says(self, part: str, times: int = 1) -> Interactive:
        until(lambda: self.said.count(part.encode()) >= times or self.process.poll() is not None, f"'{part}', {times} times", PATIENCE_S)
        until(lambda: self.said.count(part.encode()) >= times, f"'{part}', {times} times, in:\n{self.said.decode('latin-1')}", 1)
        return self

    def ends(self) -> str:
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return self.said.decode("latin-1")

    def __enter__(self) -> Interactive:
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_S)
        self.process.stdin.close()
        os.close(self._terminal)


@contextlib.contextmanager
def s_server(leaf: Leaf, port: int, *options: str) -> Iterator[Interactive]:
    """openssl s_server of TLS 1.3, beside the nodes, which accepts."""
    with at_home():
        server = Interactive("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(leaf.chain), "-key", str(leaf.key), "-tls1_3", *options)
    with server:
        yield server.says("ACCEPT")
