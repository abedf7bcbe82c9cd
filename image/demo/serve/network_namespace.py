"""A network namespace without a name: it is there as long as this object or a process in it is, so however a program ends it leaves none.

Only the calling thread changes namespaces here. What it starts, opens or binds inside belongs there, as do its /proc/sys/net and the
interfaces of a netlink request.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


class NetworkNamespace:
    def __init__(self, place: Path | str):
        """Of a file in /proc/PID/ns or /run/netns."""
        self._descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def here(cls) -> NetworkNamespace:
        """That of the calling thread."""
        return cls("/proc/thread-self/ns/net")

    @classmethod
    def new(cls) -> NetworkNamespace:
        """An empty one, its loopback interface down. Raises PermissionError without CAP_SYS_ADMIN."""
        with contextlib.closing(cls.here()) as home:
            try:
                os.unshare(os.CLONE_NEWNET)
                return cls.here()
            finally:
                home._enter()

    @property
    def path(self) -> str:
        """For other programs while this object is open."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        with contextlib.closing(NetworkNamespace.here()) as back:
            try:
                self._enter()
                yield
            finally:
                back._enter()

    def close(self) -> None:
        os.close(self._descriptor)

    def _enter(self) -> None:
        os.setns(self._descriptor, os.CLONE_NEWNET)
