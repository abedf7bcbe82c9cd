"""The node on other processors than this machine's and on Debian's kernel, in guests without KVM: guest_checks.py is what is asked of it there.

A guest is ten to twenty times as slow as the machine, hence one guest for all that is asked of a processor.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import guest_support
import pytest
from guest_support import Guest, Unusable
from node_support import REPOSITORY, node_program, spawn
from tls_support import once

pytestmark = once
PATIENCE_S = 170.0


@pytest.mark.parametrize(("processor", "engine"), [
    ("Nehalem", "mbedtls"),  # the oldest that the node starts on: SSE4.2, no AES
    ("Westmere", "ipsec-mb (SSE)"),  # AES, no AVX
    ("Haswell", "ipsec-mb (AVX2)")])  # no AVX512, no AES on vectors
def test_https_on_a_processor(processor, engine):
    guest = Guest(processor)
    environment = {"NEARFIELD_NODE": str(node_program()), "NEARFIELD_GUEST_ENGINE": engine, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
                   "NEARFIELD_GUEST_KERNEL": guest.kernel.name.removeprefix("vmlinuz-")}
    status = guest.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "-q", "--color=no", "--durations=0",
                       "--durations-min=1", Path(__file__).with_name("guest_checks.py"), folder=REPOSITORY, environment=environment,
                       patience_s=PATIENCE_S).status
    assert status == 0, "what the guest said is in the captured output"


def test_a_processor_that_is_too_old_is_told_what_it_lacks():
    """The program, and DPDK's libraries even as they are loaded, would use it without asking."""
    ran = Guest("Penryn").run("bash", "-c", '"$0" --version; echo "status $?"; dmesg | grep -E "traps:|invalid opcode"; true', node_program(),
                              patience_s=60)
    assert ran.output.splitlines()[-2:] == [
        "nearfield-dataplane: this processor lacks POPCNT, SSE4.2, which every x86 server since 2012 has (x86-64-v2): use a newer machine, or give "
        "the virtual machine a processor model that has it", "status 1"]


def test_a_guest_that_does_not_end_is_ended(monkeypatch, capsys):
    started: list[subprocess.Popen] = []

    def start(*command, **options) -> subprocess.Popen:
        started.append(spawn(*command, **options))
        return started[-1]

    monkeypatch.setattr(guest_support, "spawn", start)
    with pytest.raises(Unusable, match="was not done after 45 s"):
        Guest("Nehalem").run("bash", "-c", "echo it has begun; sleep 1000", patience_s=45)
    assert "it has begun\n" in capsys.readouterr().out
    assert len(started) == 2 and all(process.returncode is not None for process in started), "virtiofsd and QEMU are waited for"
