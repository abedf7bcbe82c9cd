"""Runs clang-tidy on our sources, and only on those that changed since it last had nothing to say.

What clang-tidy says of a source follows from the source, the headers it reads, the compile command, the checks and the
tool. A hash over these names an empty file in the cache folder once a source was clean; a source with a finding is never
remembered. Which headers of ours a source reads is known to ninja from the build; the system's are named by the SDK.

Usage: tidy.py --repo R --build BUILT_FOLDER --cache FOLDER --sdk NAME [--jobs N]. Exit status 1 when there is a finding.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
import time

TOOL = "clang-tidy-19"
OURS = ("cache/", "dataplane/")
REMEMBERED_DAYS = 30
LONGEST_SECONDS = 600


def headers_of_objects(build, repo):
    """Object file -> the files of ours it was made from, as ninja recorded them."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    result, current = {}, None
    for line in text.splitlines():
        if line.startswith("    "):
            path = os.path.normpath(os.path.join(build, line.strip()))
            if path.startswith(repo + "/") and not path.startswith(build + "/"):
                current.append(path)
        elif ": #deps" in line:
            current = result.setdefault(line.split(": #deps")[0], [])
    return result


class Tidy:
    def __init__(self, options):
        self.options = options
        version = subprocess.run([TOOL, "--version"], capture_output=True, text=True, check=True).stdout
        with open(os.path.join(options.repo, ".clang-tidy"), encoding="utf-8") as file:
            self.common = f"{version}\n{options.sdk}\n{file.read()}"
        self.headers = headers_of_objects(options.build, options.repo)
        self.hashes = {}

    def hash_of(self, path):
        if path not in self.hashes:
            with open(path, "rb") as file:
                self.hashes[path] = hashlib.sha256(file.read()).hexdigest()
        return self.hashes[path]

    def key(self, entry):
        """The name under which a clean run is remembered, or None when ninja does not know the source's headers."""
        headers = self.headers.get(entry.get("output", ""))
        if not headers:
            return None
        repo = self.options.repo
        parts = [self.common, entry["command"].replace(repo, ".")]
        for path in sorted({entry["file"], *headers}):
            parts.append(f"{os.path.relpath(path, repo)} {self.hash_of(path)}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def run(self, entry):
        command = [TOOL, "--quiet", "-p", self.options.build, entry["file"]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{entry['file']}: {TOOL} took more than {LONGEST_SECONDS} s"
        return "" if done.returncode == 0 else done.stdout + done.stderr


def forget_old(folder):
    limit = time.time() - REMEMBERED_DAYS * 86400
    for item in os.scandir(folder):
        if item.stat().st_mtime < limit:
            os.unlink(item.path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repo", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--sdk", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.makedirs(options.cache, exist_ok=True)
    forget_old(options.cache)

    with open(os.path.join(options.build, "compile_commands.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file) if os.path.relpath(e["file"], options.repo).startswith(OURS)]
    tidy = Tidy(options)
    work = []
    for entry in entries:
        key = tidy.key(entry)
        if key and os.path.exists(os.path.join(options.cache, key)):
            os.utime(os.path.join(options.cache, key))
        else:
            work.append((entry, key))
    print(f"clang-tidy: {len(work)} of {len(entries)} sources to look at", flush=True)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(tidy.run, entry): (entry, key) for entry, key in work}
        for count, done in enumerate(concurrent.futures.as_completed(running), 1):
            entry, key = running[done]
            findings = done.result()
            name = os.path.relpath(entry["file"], options.repo)
            print(f"[{count}/{len(work)}] {name}{': findings' if findings else ''}", flush=True)
            if findings:
                failed += 1
                print(findings, flush=True)
            elif key:
                with open(os.path.join(options.cache, key), "w", encoding="utf-8"):
                    pass
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
