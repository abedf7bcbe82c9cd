"""The tools under ./dev: which Debian mirror they find in apt's configuration, and that the lint checks do find things."""

import pathlib
import subprocess
import sys

import pytest

SDK = pathlib.Path(__file__).resolve().parents[2] / "image" / "sdk"


def mirrors(tmp_path, kind, files):
    """What root.sh takes for mirrors, likeliest first, when apt's folder holds files."""
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    script = f"set -euo pipefail; sdk_dir={SDK} cache=/nowhere; . {SDK}/root.sh; apt_folder={tmp_path}; mirror_candidates {kind}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_one_line_sources(tmp_path):
    text = """
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/a/key.gpg] http://mirror.example/debian bookworm main contrib # here
deb http://mirror.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security main
"""
    assert mirrors(tmp_path, "main", {"sources.list": text}) == ["http://mirror.example/debian"]


def test_deb822_sources(tmp_path):
    text = """Types: deb deb-src
# a comment inside
URIs: http://one.example/debian
  http://two.example/debian/
Suites: bookworm bookworm-updates
Components: main non-free-firmware

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""
    files = {"sources.list.d/debian.sources": text}
    assert mirrors(tmp_path, "main", files) == ["http://one.example/debian", "http://two.example/debian/"]
    (tmp_path / "again").mkdir()
    assert mirrors(tmp_path / "again", "security", files) == ["http://security.example/debian-security"]


def test_other_peoples_archives_come_last(tmp_path):
    files = {
        "sources.list.d/a.list": "deb https://packages.example/debian/12/prod bookworm main\n"
                                 "deb https://docker.example/linux/debian bookworm stable\n",
        "sources.list.d/b.list": "deb http://mirror.example/debian bookworm main\n",
    }
    assert mirrors(tmp_path, "main", files) == [
        "http://mirror.example/debian", "https://packages.example/debian/12/prod",
    ]


def test_a_file_of_mirrors_gives_its_first(tmp_path):
    listed = tmp_path / "mirrors.txt"
    listed.write_text("# ours\nhttps://near.example/debian\thigh\nhttps://far.example/debian\n")
    text = f"Types: deb\nURIs: mirror+file:{listed}\nSuites: bookworm\nComponents: main\n"
    assert mirrors(tmp_path, "main", {"sources.list.d/debian.sources": text}) == ["https://near.example/debian"]


def findings(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run([sys.executable, SDK / "check_includes.py", tmp_path], capture_output=True, text=True)
    assert done.returncode == (1 if done.stdout else 0), done.stderr
    return done.stdout


LOWER = {"cache/base/error.h": "#pragma once\n", "dataplane/net/stream.h": "#pragma once\n"}


def test_an_allowed_include_passes(tmp_path):
    assert findings(tmp_path, LOWER | {"dataplane/net/a.cc": '#include "cache/base/error.h"\n'}) == ""


@pytest.mark.parametrize("files, words", [
    ({"dataplane/http/a.h": '#include "dataplane/net/stream.h"\n'}, "dataplane/http may not know dataplane/net"),
    ({"cache/base/a.h": '#include "dataplane/net/stream.h"\n'}, "cache/base may not know"),
    ({"cache/a.cc": '#include "base/error.h"\n'}, "by their path from the top"),
    ({"cache/a.cc": "#include <cache/base/error.h>\n"}, "in quotes"),
    ({"cache/a.cc": '#include "cache/gone.h"\n'}, "there is no"),
    ({"dataplane/proxy/a.h": "#include <boost/asio/io_context.hpp>\n"}, "too heavy"),
    ({"dataplane/proxy/a.cc": "#include <liburing.h>\n"}, "dataplane/net/uring alone"),
    ({"dataplane/http/CMakeLists.txt": "nearfield_library(nearfield_http SOURCES a.cc LINKS nearfield_net)\n",
      "dataplane/net/CMakeLists.txt": "nearfield_library(nearfield_net SOURCES b.cc)\n"}, "may not link nearfield_net"),
])
def test_a_broken_rule_is_found(tmp_path, files, words):
    assert words in findings(tmp_path, LOWER | files)
