"""The life of a node and its control interface: start, status, purge, reload, logs, and every way it can fail to start.

All of it is the same for an operator whatever carries the bytes, but for what is about listening sockets (link_support.needs_sockets).
"""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path

import pytest
from control_support import files, place  # noqa: F401
from link_support import at_home, needs_sockets
from node_support import until
from origin_support import content, free_port
from wire_support import ask


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- starting and not starting ---------------------------------------------------------------------------------------------


def test_serves_from_flags_alone(program, nginx_origin, place, link):
    nginx_origin.put("/a.txt", b"hello")
    control = place / "c"
    node = program(*link.flags(), "--origin", nginx_origin.url, "--ram", "64M", "--workers", 1, "--control", control, control=control).serves()
    assert ask(node.port(), "/a.txt").body == b"hello"
    status = node.status()
    assert status["schema"] == 1 and status["state"] == "serving" and status["workers"] == 1
    assert status["transport"] == link.transport
    assert status["cache"]["ram_capacity_bytes"] == 64 * 1024 * 1024
    assert re.search(rf"nearfield \S+ serves on {re.escape(link.v4)}:\d+ with 1 worker: RAM 64M \(.* pages\), policy \w+, origins origin",
                     node.log)
    node.signal(signal.SIGTERM)
    assert node.ends() == 0
    assert not control.exists() and not Path(f"{control}.handover").exists()


def test_checks_a_configuration(program, files):
    files.write("http://127.0.0.1:9")
    good = program("--config", files.config, "--check")
    assert good.ends() == 0 and good.output == [f"{files.config}: ok"] and good.lines == []
    files.config.write_text("[node]\nlisten = [\":80\"]\nlog_levle = \"info\"\n")
    bad = program("--config", files.config, "--check")
    assert bad.ends() == 1
    assert f"{files.config}:3: node.log_levle: is not known: did you mean 'log_level'?" in bad.lines
    assert any("origin: is missing" in line for line in bad.lines)


def test_the_documented_example_is_good(program, ca, tmp_path):
    """But for the certificate that it names."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "examples" / "node.toml").read_text()
    leaf, example = ca.issue("music.example"), tmp_path / "node.toml"
    for named, made in (("/etc/nearfield/tls/music.example.pem", leaf.chain), ("/etc/nearfield/tls/music.example.key", leaf.key)):
        assert text.count(named) == 1
        text = text.replace(named, str(made))
    example.write_text(text)
    assert program("--config", example, "--check").ends() == 0


@pytest.mark.parametrize(("arguments", "says"), [
    ((), "say what to serve"),
    (("--wrong",), "--wrong"),
    (("--listen",), "--listen"),
    (("--listen", ":0"), "wants --origin"),
    (("--origin", "http://x"), "wants --listen"),
    (("--check",), "--check wants --config"),
    (("--listen", "x", "--origin", "http://x"), "--listen: 'x' is not an address"),
    (("--listen", ":0", "--origin", "gopher://x"), "--origin: "),
    (("--listen", ":0", "--origin", "http://x", "--ram", "some"), "--ram: 'some' is not a size"),
    (("--listen", ":0", "--origin", "http://x", "--workers", "0"), "--workers"),
    (("--config", "a", "--listen", ":0"), "--listen does not go with --config"),
    (("--listen", ":80", "--origin", "http://x", "--transport", "dpdk"), "dpdk wants --port NAME"),
    (("--listen", ":80", "--origin", "http://x", "--transport", "dpdk", "--port", "net_null0"), "wants --address ADDRESS/LENGTH"),
    (("--listen", ":80", "--origin", "http://x", "--port", "net_null0"), "want --transport dpdk"),
])
def test_wrong_flags_are_named_in_few_words(program, arguments, says):
    node = program(*arguments)
    assert node.ends() == 2
    assert says in node.log and len(node.lines) <= 2


def test_help_and_version(program):
    for flag in ("--help", "--version"):
        node = program(flag)
        assert node.ends() == 0 and node.output and not node.lines


@pytest.fixture
def fails(program):
    """fails("--flag", ...) is what the program said last."""
    def ended(*arguments: object) -> str:
        node = program(*arguments)
        assert node.ends() == 1, node.log
        return node.lines[-1]
    return ended


ONE_WORKER = ("--origin", "http://127.0.0.1:9", "--ram", "16M", "--workers", 1)


def test_says_what_keeps_it_from_starting(fails, place, link):
    assert "cannot be read: No such file" in fails("--config", place / "missing.toml")
    assert "there is no folder" in fails(*link.flags(), *ONE_WORKER, "--control", place / "no" / "c")
    assert "make its folder" in fails(*link.flags(), *ONE_WORKER, "--access-log", place / "no" / "log")
    assert "configure less" in fails(*link.flags(), "--origin", "http://127.0.0.1:9", "--ram", "1000T")


@needs_sockets
def test_says_which_socket_it_cannot_have(fails, place):
    assert "does not have that address" in fails("--listen", "192.0.2.1:0", *ONE_WORKER)
    assert "nobody hands over" in fails("--listen", "127.0.0.1:0", *ONE_WORKER, "--takeover", place / "nobody")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "another process" in fails("--listen", f"127.0.0.1:{taken.getsockname()[1]}", *ONE_WORKER)


def test_two_nodes_do_not_share_a_control_socket_by_accident(program, fails, files):
    files.write("http://127.0.0.1:9")
    first = program("--config", files.config, control=files.control).serves()
    assert f"{files.control}" in fails("--config", files.config)
    assert first.status()["state"] == "serving"


@needs_sockets
def test_two_nodes_do_not_share_a_port_by_accident(program, fails, files):
    first = program("--config", files.write("http://127.0.0.1:9"), control=files.control).serves()
    assert "another process" in fails("--listen", f"127.0.0.1:{first.port()}", *ONE_WORKER)
    assert first.status()["state"] == "serving"


def test_replaces_the_socket_of_a_dead_process(program, files):
    files.write("http://127.0.0.1:9")
    first = program("--config", files.config, control=files.control).serves()
    first.process.kill()
    first.ends()
    assert files.control.exists()
    program("--config", files.config, control=files.control).serves().status()


def test_the_control_socket_is_not_for_everybody(program, files):
    files.write("http://127.0.0.1:9")
    program("--config", files.config, control=files.control).serves()
    assert files.control.stat().st_mode & 0o777 == 0o660
    assert Path(f"{files.control}.handover").stat().st_mode & 0o777 == 0o600


# --- the interface ---------------------------------------------------------------------------------------------------------


def test_counts_purges_and_shows(program, nginx_origin, files):
    for name in ("a/1", "a/2", "b/1"):
        nginx_origin.put(f"/{name}", content(1000))
    node = program("--config", files.write(nginx_origin.url), control=files.control).serves()
    port = node.port()
    for _ in range(2):
        for name in ("a/1", "a/2", "b/1"):
            assert ask(port, f"/{name}").body == content(1000)
    counters = node.call("GET", "/v1/counters")[1]
    assert counters["counters"]["requests"] == 6
    assert counters["counters"]["cache_hits"] == 3 and counters["counters"]["cache_misses"] == 3
    assert counters["cache"]["objects"] == 3
    assert node.call("POST", "/v1/purge", {"name": "HTTP://Music.Example:80/a/%31"}) == \
        (200, {"schema": 1, "purged": 1, "name": "http://music.example/a/1"})
    assert node.call("POST", "/v1/purge", {"prefix": "http://music.example/a/"})[1]["purged"] == 1
    assert node.call("POST", "/v1/purge", {"prefix": "http://music.exampl"})[1]["purged"] == 0
    assert node.status()["cache"]["objects"] == 1
    assert ask(port, "/a/1").status == 200
    assert len(nginx_origin.log("/a/1")) == 2 and len(nginx_origin.log("/b/1")) == 1
    config = node.call("GET", "/v1/config")[1]
    assert config["config"]["cache"]["ram_bytes"] == 64 * 1024 * 1024 and config["source"] == str(files.config)


def test_errors_are_json(program, files):
    node = program("--config", files.write("http://127.0.0.1:9"), control=files.control).serves()
    for method, path, body, status in (("GET", "/v1/none", None, 404), ("GET", "/v1/purge", None, 405), ("POST", "/v1/purge", "{", 400),
                                       ("POST", "/v1/purge", "{}", 400), ("PUT", "/v1/log-level", '{"level":"x"}', 400),
                                       ("POST", "/v1/purge", "x" * 100_000, 413)):
        got, fields, text = node.request(method, path, body)
        assert (got, "error" in json.loads(text)) == (status, True), text
        assert ("Allow" in fields) == (status == 405)


def test_metrics_are_what_prometheus_reads(program, nginx_origin, files):
    nginx_origin.put("/a", content(1000))
    admin = free_port()
    files.write(nginx_origin.url)
    files.change("[cache]", f'admin = "127.0.0.1:{admin}"\n[cache]')
    node = program("--config", files.config, control=files.control).serves()
    ask(node.port(), "/a")
    _, fields, text = node.request("GET", "/metrics")
    assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
    types: dict[str, str] = {}
    series: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        elif not line.startswith("#"):
            key, value = line.rsplit(" ", 1)
            assert key not in series
            series[key] = float(value)
            name = key.split("{")[0]
            family = next(each for each in (name, re.sub(r"_(bucket|sum|count)$", "", name)) if each in types)
            assert (types[family] == "counter") == family.endswith("_total"), line
    assert series["nearfield_requests_total"] == 1
    assert series['nearfield_responses_total{class="2xx"}'] == 1
    assert series[f'nearfield_origin_requests_total{{group="music",server="127.0.0.1:{nginx_origin.port}"}}'] == 1
    assert series["process_open_fds"] > 5
    assert series[f'nearfield_build_info{{version="{node.status()["version"]}",transport="{files.link.transport}"}}'] == 1
    until(lambda: "nearfield_transport_accepted_total 1\n" in node.request("GET", "/metrics")[2], "the transport tells of its connection")
    with at_home():
        by_tcp = ask(admin, "/metrics")
        assert by_tcp.status == 200 and b"nearfield_requests_total 1\n" in by_tcp.body
        assert ask(admin, "/v1/status").status == 200
        assert ask(admin, "/v1/drain", method="POST").status == 404


def test_log_level_changes_while_it_runs(program, files):
    node = program("--config", files.write("http://127.0.0.1:9"), control=files.control).serves()
    assert node.call("PUT", "/v1/log-level", {"level": "error"}) == (200, {"schema": 1, "level": "error"})
    node.call("POST", "/v1/purge", {"name": "http://x/silent"})
    node.call("PUT", "/v1/log-level", {"level": "info"})
    node.call("POST", "/v1/purge", {"name": "http://x/loud"})
    node.says("/loud")
    assert "/silent" not in node.log


def test_log_lines_stay_lines(program, files):
    node = program("--config", files.write("http://127.0.0.1:9"), control=files.control).serves()
    node.signal(signal.SIGHUP)
    node.says("reloaded")
    for line in node.lines:
        assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) .", line), line


# --- reload ----------------------------------------------------------------------------------------------------------------


def test_reloads_origins_and_settings(program, nginx_origin, fault_origin, files):
    nginx_origin.put("/a", b"nginx")
    nginx_origin.put("/c", b"nginx")
    fault_origin.on("/b", lambda asked: asked.answer(b"other"))
    node = program("--config", files.write(nginx_origin.url), control=files.control).serves()
    port = node.port()
    assert ask(port, "/a").body == b"nginx"
    files.write(fault_origin.url, more="[cors]\nenabled = false\n")
    assert node.call("POST", "/v1/reload") == (200, {"schema": 1, "reloaded": True, "restart_required": []})
    after = until(lambda: (got := ask(port, "/b")).status == 200 and got, "the new origin is asked")
    assert after.body == b"other" and "Access-Control-Allow-Origin" not in after
    assert ask(port, "/a").body == b"nginx"  # what was cached stays
    assert node.status()["config"]["reloads"] == 1


def test_refuses_a_bad_configuration_and_keeps_the_old_one(program, nginx_origin, files):
    nginx_origin.put("/a", b"good")
    node = program("--config", files.write(nginx_origin.url), control=files.control).serves()
    line = files.change('"64M"\nhuge', '"64 megabytes"\nhuge')
    with files.config.open("a") as config:
        config.write("[limits]\nfetchs = 3\n")
    status, answer = node.call("POST", "/v1/reload")
    assert status == 422 and "the old one stays" in answer["error"]
    assert {(each["line"], each["key"]) for each in answer["problems"]} >= {(line, "cache.ram")}
    assert any("did you mean 'fetches'" in each["reason"] and each["file"] == str(files.config) for each in answer["problems"])
    node.signal(signal.SIGHUP)
    node.says(f"{files.config}:{line}: cache.ram: '64 megabytes' is not a size")
    until(lambda: node.status()["config"]["reloads_refused"] == 2, "both were counted")
    assert ask(node.port(), "/a").body == b"good"


def test_says_how_many_problems_it_does_not_list(program, files):
    node = program("--config", files.write("http://127.0.0.1:9"), control=files.control).serves()
    with files.config.open("a") as config:
        config.writelines(f"unknown_{number} = 1\n" for number in range(23))
    answer = node.call("POST", "/v1/reload")[1]
    assert (len(answer["problems"]), answer["problems_left_out"]) == (20, 3)
    node.says(" and 3 more")


def test_says_what_a_reload_cannot_change(program, files):
    node = program("--config", files.write("http://127.0.0.1:9"), control=files.control).serves()
    before, workers = node.port(), node.status()["workers"]
    files.change(f"workers = {workers}\n", "workers = 3\n")
    files.change('"64M"\nhuge', '"96M"\nhuge')
    assert node.call("POST", "/v1/reload")[1]["restart_required"] == ["node.workers", "cache.ram"]
    node.says("need a restart: node.workers, cache.ram")
    status = node.status()
    assert status["workers"] == workers and node.port() == before
    assert status["config"]["restart_required"] == ["node.workers", "cache.ram"]
    assert node.call("GET", "/v1/config")[1]["config"]["cache"]["ram_bytes"] == 64 * 1024 * 1024


def test_cannot_reload_without_a_file(program, place, link):
    control = place / "c"
    node = program(*link.flags(), *ONE_WORKER, "--control", control, control=control).serves()
    assert node.call("POST", "/v1/reload")[0] == 409


# --- the access log --------------------------------------------------------------------------------------------------------


def test_access_log_says_what_was_served_and_not_to_whom(program, nginx_origin, files):
    nginx_origin.put("/a.txt", content(1000))
    node = program("--config", files.write(nginx_origin.url), control=files.control).serves()
    port = node.port()
    ask(port, "/a.txt?token=secret")
    ask(port, "/a.txt?token=secret", "Range: bytes=0-99")
    ask(port, "/%22%5C")
    lines = until(lambda: len(got := lines_of(files.access)) >= 3 and got, "three lines")
    first, second, third = sorted(lines, key=lambda each: each["status"])  # each worker writes in its own order
    assert list(first) == ["time", "client", "protocol", "method", "host", "path", "status", "body_bytes", "first_byte_us", "duration_us", "cache"]
    assert first["client"] == re.sub(r"\d+$", "0", files.link.client_v4) and first["path"] == "/a.txt" and first["host"] == "music.example"
    assert first["status"] == 200 and first["body_bytes"] == 1000 and "fwd=" in first["cache"]
    assert second["status"] == 206 and second["body_bytes"] == 100 and second["range"] == "bytes=0-99" and "hit" in second["cache"]
    assert third["status"] == 404 and third["path"] == "/%22%5C"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert "secret" not in files.access.read_text() and files.link.client_v4 not in files.access.read_text()


def test_access_log_is_rotated(program, nginx_origin, files):
    nginx_origin.put("/a", b"x")
    node = program("--config", files.write(nginx_origin.url), control=files.control).serves()
    ask(node.port(), "/a")
    until(lambda: len(lines_of(files.access)) == 1, "the first line")
    rotated = files.access.with_suffix(".1")
    files.access.rename(rotated)
    node.signal(signal.SIGUSR1)
    node.says("opened anew")
    ask(node.port(), "/a")
    until(lambda: len(lines_of(files.access)) == 1, "the second line in the new file")
    assert len(lines_of(rotated)) == 1


def test_a_full_disk_costs_lines_and_not_listeners(program, nginx_origin, files):
    nginx_origin.put("/a", b"x")
    files.write(nginx_origin.url)
    files.change(str(files.access), "/dev/full")
    node = program("--config", files.config, control=files.control).serves()
    for _ in range(20):
        assert ask(node.port(), "/a").status == 200
    until(lambda: node.status()["access_log"]["failed"] == 20, "the lines are counted")
    node.says("cannot be written")
    assert sum("cannot be written" in line for line in node.lines) == 1
