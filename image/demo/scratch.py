"""Folders for what a run needs only while it lives, gone after it even when it is killed.

A lock in the folder says that its owner lives; whoever makes a folder removes those of the same kind whose owners do not.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = "lock"


@contextlib.contextmanager
def folder(kind: str, parent: Path | None = None) -> Iterator[Path]:
    """Makes nearfield-KIND-... in `parent`, by default where temporary files belong, and removes it at the end."""
    parent = parent or Path(tempfile.gettempdir())
    prefix = f"nearfield-{kind}-"
    for old in parent.glob(f"{prefix}*"):
        _remove_if_dead(old)
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.closing(open(made / _LOCK, "w")) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not (made / _LOCK).exists():
                continue  # somebody took it for a dead one's before it was locked
            try:
                yield made
            finally:
                shutil.rmtree(made, ignore_errors=True)
            return


def _remove_if_dead(old: Path) -> None:
    try:
        with open(old / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        pass  # alive, or another user's
