"""Says what is going on: one line that is redrawn on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
import threading
import time


class Progress:
    """Safe to use from several threads. `note` writes a line that stays; `live` one that the next may replace."""

    def __init__(self, stream=None, quiet_interval_s: float = 5.0):
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._lock = threading.Lock()
        self._drawn = False
        self._quiet_interval_s = quiet_interval_s
        self._last_plain = 0.0

    def note(self, text: str) -> None:
        with self._lock:
            self._clear()
            self._write(text + "\n")

    def live(self, text: str) -> None:
        with self._lock:
            if self._terminal:
                self._clear()
                # Before it is written: a signal may end this call in between, and the next note has to clear what is there.
                self._drawn = True
                self._write(text[:_width(self._stream) - 1])
            elif time.monotonic() - self._last_plain >= self._quiet_interval_s:
                self._last_plain = time.monotonic()
                self._write(text + "\n")

    def end_live(self) -> None:
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._drawn:
            self._write("\r\033[K")  # to the line's end: a Ctrl-C is echoed behind what we wrote
            self._drawn = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the reader of our output has left; stopping is the signal handlers' business


def _width(stream) -> int:
    try:
        return max(20, os.get_terminal_size(stream.fileno()).columns or 100)  # 0: a terminal that does not know
    except (OSError, ValueError):
        return 100
