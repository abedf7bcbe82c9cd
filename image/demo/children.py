"""Every process the demonstration starts, and the promise that none outlives it.

Children run in process groups of their own, so that a Ctrl-C in the terminal reaches only us and they are stopped in
our order. `setpriv --pdeathsig` makes the kernel end them even when we are killed without warning.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path


class ToolError(Exception):
    """A tool failed; the message says which, how, and what it printed last."""


class Stopped(Exception):
    """The user asked to stop while something was running."""


class Child:
    """A long-running process whose output goes to a log file."""

    def __init__(self, name: str, argv: list[str], log: Path, cwd: Path | None = None):
        self.name, self.log = name, log
        with open(log, "ab") as sink:
            self.process = subprocess.Popen(_guarded(argv), stdin=subprocess.DEVNULL, stdout=sink,
                                            stderr=subprocess.STDOUT, process_group=0, cwd=cwd)

    def alive(self) -> bool:
        return self.process.poll() is None

    def describe_exit(self) -> str:
        code = self.process.poll()
        if code is None:
            return f"{self.name} is running"
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"{self.name} {how}"

    def last_lines(self, count: int = 12) -> list[str]:
        try:
            with open(self.log, errors="replace") as lines:
                return [line.rstrip() for line in deque(lines, maxlen=count)]
        except OSError:
            return []

    def stop(self, patience_s: float = 3.0) -> None:
        """Asks twice (a node drains at the first SIGTERM and ends at the second), then kills."""
        for step in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                break
            self.process.send_signal(step)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what it may have left in its group
        except (ProcessLookupError, PermissionError):
            pass


class Children:
    """Runs tools to their end and servers until stop_all()."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tools: set[subprocess.Popen] = set()
        self._servers: list[Child] = []
        self._stopping = False

    def start(self, name: str, argv: list[str], log: Path, cwd: Path | None = None) -> Child:
        with self._lock:
            if self._stopping:
                raise Stopped()
            child = Child(name, argv, log, cwd)
            self._servers.append(child)
            return child

    def run(self, argv: list[str], *, timeout_s: float = 900, input: bytes | None = None,
            env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Runs a tool and returns what it printed; raises ToolError when it fails and Stopped after stop_all()."""
        with self._lock:
            if self._stopping:
                raise Stopped()
            process = subprocess.Popen(_guarded(argv), stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0, env=env)
            self._tools.add(process)
        try:
            out, err = process.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            process.communicate()
            raise ToolError(f"{argv[0]} did not end within {timeout_s:.0f} s") from None
        except BaseException:  # a signal's exception in the main thread
            _kill_group(process)
            raise
        finally:
            with self._lock:
                self._tools.discard(process)
        if self._stopping:
            raise Stopped()
        if process.returncode != 0:
            tail = "\n    ".join((err or out).decode(errors="replace").strip().splitlines()[-6:])
            raise ToolError(f"{Path(argv[0]).name} ended with status {process.returncode}:\n    {tail}")
        return subprocess.CompletedProcess(argv, 0, out, err)

    def forget(self, child: Child) -> None:
        """For a server that was stopped on purpose and must not count as dead."""
        with self._lock:
            self._servers.remove(child)

    def first_dead(self) -> Child | None:
        return next((child for child in self._servers if not child.alive()), None)

    def stop_tools(self) -> None:
        with self._lock:
            self._stopping = True
            running = list(self._tools)
        for process in running:
            _kill_group(process)

    def stop_all(self) -> None:
        self.stop_tools()
        for child in reversed(self._servers):  # the node before the origin it fetches from
            child.stop()


def _guarded(argv: list[str]) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else argv


def _kill_group(process: subprocess.Popen) -> None:
    for number, wait_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return
            time.sleep(0.02)
