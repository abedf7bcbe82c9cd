"""nearfield-dataplane as a process: any arguments, its standard error line by line, its control socket if it has one."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

from link_support import at_home
from node_support import PATIENCE_S, Controlled, node_program, spawn, until


class Program(Controlled):
    """Ends with the block it is used in: SIGTERM, then SIGKILL, and only a process that a test has not waited for itself."""

    def __init__(self, *arguments: object, control: Path | None = None, **options: Any):
        self.control = control
        self.lines: list[str] = []
        with at_home():
            self.process = spawn(node_program(), *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **options)
        self._readers = [threading.Thread(target=self._read, args=(stream, keep), daemon=True)
                         for stream, keep in ((self.process.stderr, self.lines), (self.process.stdout, self._output_lines()))]
        for reader in self._readers:
            reader.start()

    def _output_lines(self) -> list[str]:
        self.output: list[str] = []
        return self.output

    @staticmethod
    def _read(stream, keep: list[str]) -> None:
        for line in stream:
            keep.append(line.rstrip("\n"))

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def says(self, part: str) -> str:
        """Waits for a line with `part` on standard error."""
        return until(lambda: next((line for line in list(self.lines) if part in line), None) or self._gone(part), f"'{part}' in the log")

    def _gone(self, part: str) -> None:
        if self.process.poll() is not None:
            self.ends()
            assert part in self.log, f"ended without saying '{part}':\n{self.log}"

    def serves(self) -> "Program":
        self.says(" serves on ")
        if self.control is not None:
            until(self.control.exists, "the control socket is there")
        return self

    def port(self) -> int:
        return int(self.status()["listen"][0].rsplit(":", 1)[1])

    def tls_port(self) -> int:
        return int(self.status()["tls"]["listen"][0].rsplit(":", 1)[1])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        """Waits for the end; what it said is complete afterwards."""
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return code

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the node did not end by itself:\n{self.log}") from None
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
