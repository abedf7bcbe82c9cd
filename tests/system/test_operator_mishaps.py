"""What happens to a node in the hands of a busy operator: a log nobody reads, too few threads, a file of nonsense, a look with HEAD."""

from __future__ import annotations

import fcntl
import http.client
import os
import resource
import signal
import socket
import subprocess

import pytest
from link_support import Link, Loopback, at_home
from node_support import PATIENCE_S, UnixConnection, configuration, group, node_program, until
from origin_support import free_port

ONE_WORKER = ("--origin", "http://127.0.0.1:9", "--ram", "16M", "--workers", "1")


@pytest.fixture
def flags(link: Link | Loopback) -> list[str]:
    return [*link.flags(), *ONE_WORKER]


def test_a_log_that_nobody_reads_holds_up_nothing(flags, tmp_path_factory):
    control = tmp_path_factory.mktemp("n") / "c"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = 0
    while True:
        try:
            filled += os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
    with at_home():
        node = subprocess.Popen([str(node_program()), *flags, "--control", str(control)], stderr=writing)
    try:
        def answers() -> bool:
            connection = UnixConnection(control)
            try:
                connection.request("GET", "/v1/status")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()
        until(answers, "the node serves, unheard")
        left = filled
        while left > 0:
            left -= len(os.read(reading, left))
        node.send_signal(signal.SIGTERM)
        assert node.wait(PATIENCE_S) == 0
        os.close(writing)
        writing = -1
        said = os.read(reading, 65536).decode()
        assert "lines of this log were lost: nobody read standard error" in said.splitlines()[0]
        assert "drained" in said
    finally:
        if node.poll() is None:
            node.kill()
            node.wait()
        for descriptor in (reading, writing):
            if descriptor >= 0:
                os.close(descriptor)


def test_a_log_pipe_without_a_reader_is_named(program, flags, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    node = program(*flags, "--access-log", pipe)
    assert node.ends() == 1 and "is a pipe that nobody reads" in node.log


def test_a_reload_of_nonsense_changes_nothing(program, link, tmp_path_factory):
    place = tmp_path_factory.mktemp("n")
    control, config = place / "c", place / "node.toml"
    config.write_text(configuration(link, control, group("http://127.0.0.1:9"), ram="16M"))
    node = program("--config", config, control=control).serves()
    for text in ("a" + ".a" * 200_000 + " = 1\n", "a = " + "[" * 900_000, "\x00\x01\x02", "x" * 2_000_000, ""):
        config.write_text(text)
        assert node.call("POST", "/v1/reload")[0] == 422
    assert node.status()["state"] == "serving"


def test_too_few_threads_are_named(program, flags):
    if os.geteuid() != 0:
        limited = {}
    else:  # root is not limited: become nobody, with no right left over
        limited = {"user": 65534, "group": 65534, "extra_groups": []}
    node = program(*flags, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)), cwd="/", **limited)
    assert node.ends() == 1 and "cannot start a thread" in node.log and "TasksMax" in node.log


def test_a_look_with_head_is_answered(program, flags, tmp_path_factory):
    control, admin = tmp_path_factory.mktemp("n") / "c", free_port()
    program(*flags, "--control", control, "--admin", f"127.0.0.1:{admin}", control=control).serves()
    for connection in (UnixConnection(control), http.client.HTTPConnection("127.0.0.1", admin, timeout=PATIENCE_S)):
        for path in ("/metrics", "/v1/status"):
            with at_home():
                connection.request("HEAD", path)
            response = connection.getresponse()
            assert response.status == 200 and int(response.getheader("Content-Length")) > 100 and response.read() == b""
            connection.request("GET", path)  # the connection is still in step
            assert len(connection.getresponse().read()) > 100
        connection.close()


def test_addresses_that_cover_each_other_are_refused_before_the_kernel_does(program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    node = program("--listen", f":{port}", "--listen", f"127.0.0.1:{port}", "--origin", "http://127.0.0.1:9", "--ram", "16M")
    assert node.ends() == 2 and "which is every address" in node.log
