"""A guest: Debian's kernel on a processor of the test's choice, in QEMU without KVM, so that it works on every machine.

Its root is what the test itself sees, by virtiofs: read-only, under an overlay in its own memory. So programs, libraries, the checkout and
files that the test made before have their usual paths in it, and whatever it writes is gone with it. It has no network but its loopback.
A guest runs one command as root, says what that says through its serial port, then the exit status; there it is ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node_support import spawn

QEMU, FILES = "qemu-system-x86_64", "/usr/libexec/virtiofsd"
MEMORY = "1G"
LONGEST = 8 * 1024 * 1024  # that a guest may say, in characters
# A guest stands still as long as its machine does, which is nothing that its kernel should complain of. What else that says is for dmesg, a panic
# excepted: a message within a line of ours would hide it.
KERNEL_OPTIONS = "console=ttyS0 loglevel=1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 panic=-1"
# virtiofs and the serial port are built into Debian's cloud kernel, overlays are a module of it.
_INIT = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs run /run && modprobe overlay &&
mkdir /run/upper /run/work /run/root && mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root &&
mount --rbind /proc /run/root/proc && mount --rbind /sys /run/root/sys && mount --rbind /dev /run/root/dev &&
mkdir -p /dev/shm /dev/pts && mount -t tmpfs shm /run/root/dev/shm && mount -t devpts pts /run/root/dev/pts &&
mount -t tmpfs run /run/root/run && ip link set lo up && echo "{begun}" && chroot /run/root {command} </dev/null 2>&1
echo "{ended} $?"
read -r _
"""


class Unusable(AssertionError):
    """No guest can run on this machine, or not this one."""


@dataclass(frozen=True)
class Ran:
    status: int
    output: str


def kernel() -> Path:
    found = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])
    if not found:
        raise Unusable("there is no kernel for a guest: install Debian's linux-image-cloud-amd64")
    return found[-1]


class Guest:
    """`processor` is QEMU's name of it (qemu-system-x86_64 -cpu help). run() may be called more than once: each time it boots anew."""

    def __init__(self, processor: str):
        self.processor = processor
        for program, package in ((QEMU, "qemu-system-x86"), (FILES, "virtiofsd"), ("setpriv", "util-linux")):
            if shutil.which(program) is None:
                raise Unusable(f"a guest needs {program}: install Debian's {package}")
        self.kernel = kernel()

    def run(self, *command: object, patience_s: float, environment: dict[str, str] | None = None, folder: Path | None = None) -> Ran:
        """Ends with the command, or raises Unusable with what was said so far. What the guest says is printed as it comes."""
        words = ["env", f"--chdir={folder or '/'}", *(f"{name}={value}" for name, value in (environment or {}).items()), *map(str, command)]
        boot = f"guest {secrets.token_hex(8)}"  # not to be confused with what the command says
        begun, ended = f"{boot} begins", f"{boot} ended:"
        with tempfile.TemporaryDirectory(prefix="nearfield-guest-") as name:  # short: a socket's path has 107 bytes
            place = Path(name)
            (place / "init").write_text(_INIT.format(command=shlex.join(words), begun=begun, ended=ended))
            with self._machine(place) as (machine, complaints):
                output = self._listen(machine, ended, complaints, patience_s)
        said, _, status = output.rpartition(ended)
        _, has_begun, said = said.partition(f"{begun}\n")
        if not has_begun:
            raise Unusable(f"the guest ({self.processor}, {self.kernel.name}) could not make its root (status {int(status)}); what it said is in the "
                           "captured output")
        return Ran(int(status), said)

    @contextlib.contextmanager
    def _machine(self, place: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
        complaints = place / "complaints"
        with socket.socket(socket.AF_UNIX) as listening, complaints.open("wb") as log, contextlib.ExitStack() as ending:
            listening.bind(str(place / "files"))
            listening.listen(1)
            # Submounts are part of the one file system that the guest sees: an overlay ends where another begins.
            ending.enter_context(_process(log, FILES, f"--fd={listening.fileno()}", "--shared-dir=/", "--sandbox=none", "--readonly", "--cache=always",
                                          "--no-announce-submounts", "--log-level=error", pass_fds=(listening.fileno(),)))
            listening.close()  # virtiofsd alone has it: QEMU is refused, and says so, when that is gone
            yield ending.enter_context(_process(
                log, QEMU, "-accel", "tcg", "-machine", "q35,memory-backend=memory", "-cpu", self.processor, "-smp", "2", "-m", MEMORY,
                "-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on", "-nodefaults", "-no-user-config", "-no-reboot",
                "-display", "none", "-serial", "stdio", "-chardev", f"socket,id=files,path={place / 'files'}",
                "-device", "vhost-user-fs-pci,chardev=files,tag=files", "-kernel", str(self.kernel), "-append",
                f"{KERNEL_OPTIONS} root=files rootfstype=virtiofs ro init=/bin/bash -- {place / 'init'}",
                stdout=subprocess.PIPE)), complaints

    def _listen(self, machine: subprocess.Popen, mark: str, complaints: Path, patience_s: float) -> str:
        """Until the status was told. The time is the machine's, not the guest's."""
        said, match, deadline = "", None, time.monotonic() + patience_s
        pattern = re.compile(rf"{mark} \d+\n")
        while match is None:
            left = deadline - time.monotonic()
            if left > 0 and not select.select([machine.stdout], [], [], left)[0]:
                continue
            part = os.read(machine.stdout.fileno(), 65536) if left > 0 and len(said) < LONGEST else b""
            if not part:
                what = (f"was not done after {patience_s:g} s" if left <= 0 else "said too much" if len(said) >= LONGEST
                        else "ended without having done it")
                raise Unusable(f"the guest ({self.processor}, {self.kernel.name}) {what}; what it said is in the captured output, and QEMU and "
                               f"virtiofsd complained of:\n{complaints.read_text(errors='replace')[-2000:]}")
            text = part.decode(errors="replace").replace("\r", "")
            sys.stdout.write(text)
            known = max(0, len(said) - len(mark) - 8)  # the line may have begun there
            said += text
            match = pattern.search(said, known)
        return said[:match.end()]


@contextlib.contextmanager
def _process(log, *command: str, stdout=None, **options) -> Iterator[subprocess.Popen]:
    """It ends with the block, and with us, whatever becomes of us."""
    process = spawn(*command, stdout=stdout or log, stderr=log, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
