"""Checks on whole files: none is longer than 600 lines, and no lock file names the registry its packages came from.

Usage: check_files.py REPOSITORY. Prints one line a finding; the exit status is 1 when there is any.
"""

import os
import sys

LONGEST = 600
WRITTEN_BY_HAND = (".h", ".cc", ".py", ".sh", ".cmake", ".js", ".mjs", ".css", ".html", "CMakeLists.txt", "dev", "run")
SKIPPED = {".git", "build", "node_modules", "__pycache__", "corpus", "results"}


def main():
    repository = sys.argv[1]
    findings = []
    for folder, folders, names in os.walk(repository):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            full = os.path.join(folder, name)
            path = os.path.relpath(full, repository)
            if name == "package-lock.json":
                with open(full, encoding="utf-8") as file:
                    if '"resolved": "http' in file.read():
                        findings.append(f"{path}: names a registry; run npm with --omit-lockfile-registry-resolved")
            elif name.endswith(WRITTEN_BY_HAND):
                with open(full, encoding="utf-8", errors="replace") as file:
                    count = sum(1 for _ in file)
                if count > LONGEST:
                    findings.append(f"{path}: {count} lines, more than {LONGEST}: a file is one noun")
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
