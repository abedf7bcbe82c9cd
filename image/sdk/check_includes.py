"""Checks that the boxes of docs/architecture.md know only what they may know.

Each folder has a list of folders it may include; everything of ours is included by its path from the top of the
repository. The same arrows are checked on what the CMake targets link. Heavy library headers stay out of our headers, so
that a box's users do not compile its insides, and io_uring's and DPDK's stay in the one transport that is made of each.

Usage: check_includes.py REPOSITORY. Prints one line a finding; the exit status is 1 when there is any.
"""

import os
import re
import sys

# folder: what it may include beside itself. The longest matching folder counts; a folder speaks for those below it that
# have no line of their own.
ALLOWED = {
    "cache/base": [],
    "cache": ["cache/base"],
    "dataplane/net": ["cache/base", "cache"],
    "dataplane/net/uring": ["cache/base", "cache", "dataplane/net"],
    "dataplane/net/ip": ["cache/base", "dataplane/net"],
    "dataplane/net/tcp": ["cache/base", "cache", "dataplane/net"],
    "dataplane/net/dpdk": [
        "cache/base", "cache", "dataplane/net", "dataplane/net/ip", "dataplane/net/tcp", "dataplane/net/uring",
    ],
    "dataplane/tls": ["cache/base", "cache", "dataplane/net"],
    "dataplane/http": ["cache/base"],
    "dataplane/access": ["cache/base", "dataplane/net", "dataplane/http"],
    "dataplane/origin": ["cache/base", "cache", "dataplane/net", "dataplane/tls", "dataplane/http"],
    "dataplane/proxy": [
        "cache/base", "cache", "dataplane/net", "dataplane/http", "dataplane/access", "dataplane/origin",
    ],
    "dataplane/control": [
        "cache/base", "cache", "dataplane/net", "dataplane/net/ip", "dataplane/tls", "dataplane/http",
        "dataplane/access", "dataplane/origin", "dataplane/proxy",
    ],
}
# main.cc puts the boxes together.
ALLOWED["dataplane"] = [folder for folder in ALLOWED if folder != "dataplane"]

HEAVY = re.compile(r"^(boost/(asio|beast|json|url)\b|toml\+\+/|spdlog/|prometheus/|CLI/|nlohmann/)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LIBRARY = re.compile(r"\bnearfield_library\s*\(\s*([A-Za-z0-9_]+)([^)]*)\)", re.S)


def box_of(path):
    """The longest folder with a line in ALLOWED that holds path, or None."""
    best = None
    for folder in ALLOWED:
        if path.startswith(folder + "/") and (best is None or len(folder) > len(best)):
            best = folder
    return best


def files(repository, suffixes):
    for top in ("cache", "dataplane", "tests"):
        for folder, folders, names in os.walk(os.path.join(repository, top)):
            folders[:] = sorted(name for name in folders if name != "corpus")
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(folder, name), repository)


def tested_box(path):
    """The box a unit test looks at; a test may include what its subject may include, and other test files."""
    return box_of(path[len("tests/unit/"):]) if path.startswith("tests/unit/") else None


def check_includes(repository, path, findings):
    ours = box_of(path) or tested_box(path)
    with open(os.path.join(repository, path), encoding="utf-8") as file:
        lines = file.readlines()
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, target = match.groups()
        where = f"{path}:{number}"
        is_ours = target.startswith(("cache/", "dataplane/", "tests/"))
        if bracket == '"' and not is_ours and not target.startswith("CppUTest"):
            findings.append(f'{where}: "{target}": include our files by their path from the top of the repository')
        if bracket == "<" and is_ours:
            findings.append(f'{where}: <{target}>: our own files go in quotes')
        if target == "liburing.h" and not path.startswith(("dataplane/net/uring/", "tests/")):
            findings.append(f"{where}: io_uring belongs to dataplane/net/uring alone")
        if target.startswith("rte_") and not path.startswith(("dataplane/net/dpdk/", "tests/")):
            findings.append(f"{where}: DPDK belongs to dataplane/net/dpdk alone")
        if target.startswith("rte_") and path.endswith(".h") and not path.startswith("tests/"):
            findings.append(f"{where}: <{target}> is C with flags of its own: include it in the .cc")
        if path.endswith(".h") and not path.startswith("tests/") and HEAVY.match(target):
            findings.append(f"{where}: <{target}> is too heavy for a header: include it in the .cc")
        if not is_ours:
            continue
        if not os.path.exists(os.path.join(repository, target)):
            findings.append(f'{where}: there is no "{target}"')
        if target.startswith("tests/"):
            if not path.startswith("tests/"):
                findings.append(f"{where}: only tests may include {target}")
            continue
        theirs = box_of(target)
        if ours is not None and theirs != ours and theirs not in ALLOWED[ours]:
            findings.append(f"{where}: {ours} may not know {theirs} ({target})")


def check_links(repository, findings):
    """The same arrows between the libraries that the folders' CMakeLists.txt define."""
    box_of_library, links = {}, []
    for path in files(repository, ("CMakeLists.txt",)):
        with open(os.path.join(repository, path), encoding="utf-8") as file:
            text = re.sub(r"#[^\n]*", "", file.read())
        for name, arguments in LIBRARY.findall(text):
            box_of_library[name] = box_of(path)
            linked = re.split(r"\b(?:PRIVATE_LINKS|LINKS)\b", arguments)[1:]
            links += [(path, name, other) for part in linked for other in part.split() if other != "SOURCES"]
    for path, name, other in links:
        ours, theirs = box_of_library[name], box_of_library.get(other)
        if ours and theirs and theirs != ours and theirs not in ALLOWED[ours]:
            findings.append(f"{path}: {name} of {ours} may not link {other} of {theirs}")


def main():
    repository = sys.argv[1]
    findings = []
    for path in files(repository, (".h", ".cc")):
        check_includes(repository, path, findings)
    check_links(repository, findings)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
