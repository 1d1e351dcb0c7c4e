"""Checks style: clang-format on all C and C++ files, clang-tidy on changed ones, ruff.

With --fix, clang-format and ruff rewrite what they can. A changed file is one that
differs from the merge base with origin/main (or, without that branch, from the last
commit) or is not tracked yet.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LLVM = Path("/usr/lib/llvm-22/bin")
CXX = {".c", ".cpp", ".h", ".hpp"}


def git(*args: str) -> list[str]:
    """Lines that git prints, or none where it fails (no commit or branch yet)."""
    result = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.splitlines() if result.returncode == 0 else []


def all_files() -> list[str]:
    listed = git("ls-files", "--cached", "--others", "--exclude-standard")
    return sorted(name for name in set(listed) if (ROOT / name).is_file())


def changed_files() -> set[str]:
    base = git("merge-base", "HEAD", "origin/main") or git("rev-parse", "HEAD")
    if not base:
        return set(all_files())
    tracked = git("diff", "--name-only", base[0])
    return set(tracked) | set(git("ls-files", "--others", "--exclude-standard"))


def run(name: str, command: list[str | Path]) -> bool:
    result = subprocess.run(command, cwd=ROOT, check=False)
    print(f"{name}: {'ok' if result.returncode == 0 else 'FAILED'}", flush=True)
    return result.returncode == 0


def check_format(files: list[str], fix: bool) -> bool:
    if not files:
        return True
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    return run(f"clang-format ({len(files)} files)", [LLVM / "clang-format", *mode, *files])


def tidy_units(database: Path, changed: set[str]) -> list[str]:
    """Changed source files that the release build compiles."""
    entries = json.loads(database.read_text())
    built = {os.path.relpath(Path(e["directory"]) / e["file"], ROOT) for e in entries}
    return sorted(built & changed)


def check_tidy(files: list[str], build: Path) -> bool:
    if not files:
        print("clang-tidy: no changed file")
        return True

    def tidy(file: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        command = [LLVM / "clang-tidy", "-quiet", "-p", build, file]
        return file, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, result in pool.map(tidy, files):
            if result.returncode != 0:
                failed.append(file)
                print(result.stdout, end="")
    print(f"clang-tidy ({len(files)} files): {'FAILED: ' + ' '.join(failed) if failed else 'ok'}")
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix", action="store_true", help="rewrite what can be rewritten")
    parser.add_argument("--all", action="store_true", help="clang-tidy on all files")
    args = parser.parse_args()

    files = all_files()
    cxx = [name for name in files if Path(name).suffix in CXX]
    build = ROOT / "build" / "release"
    units = tidy_units(build / "compile_commands.json", set(files) if args.all else changed_files())
    ruff = [sys.executable, "-m", "ruff"]
    results = [
        check_format(cxx, args.fix),
        run("ruff check", [*ruff, "check", *(["--fix"] if args.fix else [])]),
        run("ruff format", [*ruff, "format", *([] if args.fix else ["--check"])]),
        check_tidy(units, build),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
