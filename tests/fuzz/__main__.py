"""``make fuzz``: search every target and every property for input that breaks it.

A target is searched by atheris (libFuzzer), guided by coverage, where it is installed, else by
Hypothesis alone. Input that breaks a target is put into its corpus, where every later run of the
tests tries it; commit it with the fix. ``properties`` are the tests that Hypothesis runs: `make
test` tries the same examples each time, this search tries new ones. A falsifying example that it
prints belongs into the test as an ``@example``. Exit status 1 if anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus

WORK = Path(__file__).parent / "work"
"""The corpora that the searches have built, to continue from; not in the repository."""
LONGEST = 64 * 1024
"""Bytes of an input."""
SLOWEST = 20
"""Seconds that one input may take before it counts as found: a thousand times the usual."""
MOST_MEMORY = 2048
"""Megabytes."""
ROOT = Path(__file__).parents[2]
PROPERTIES = "properties"
"""The name of all the tests that Hypothesis runs, among the targets."""


def main() -> int:
    """Run the searches that the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    names = [*TARGETS, PROPERTIES]
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(names)} [all of them]")
    parser.add_argument("--seconds", type=int, default=60, help="for each target [60]")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(names)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}: {', '.join(names)}")
    if not has_atheris():
        print("atheris is not installed here: Hypothesis searches alone, without coverage")
    broken = []
    for name in arguments.targets or names:
        result = _search(name, arguments.seconds)
        broken += [name] if result else []
        print(f"{name:14}{result or 'nothing found'}", flush=True)
    return 1 if broken else 0


def _search(name: str, seconds: int) -> str:
    if name == PROPERTIES:
        return _properties(seconds)
    search = _guided if has_atheris() else _unguided
    return search(TARGETS[name], seconds)


def _properties(seconds: int) -> str:
    """Run the tests that Hypothesis runs, each for that long, with new examples."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-n", "auto"]
    environment = {"HYPOTHESIS_PROFILE": "search", "SEARCH_SECONDS": str(seconds)}
    run = subprocess.run(
        [*command, f"--timeout={seconds + 600}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
    )
    print(f"{PROPERTIES:14}{run.stdout.strip().rpartition(chr(10))[2]}")
    return f"BROKEN or cannot be run\n{run.stdout}{run.stderr}" if run.returncode else ""


def has_atheris() -> bool:
    """Return True if the coverage-guided fuzzer is installed; few platforms have wheels of it."""
    return importlib.util.find_spec("atheris") is not None


def options(name: str, folder: Path, *more: str) -> list[str]:
    """The command of one coverage-guided search, whose finds go to ``folder``."""
    words = folder / f"{name}.words"
    words.write_text("".join(_dictionary(name)), encoding="ascii")
    command = [sys.executable, "-m", "tests.fuzz.guided", name]
    limits = [f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MEMORY}", f"-max_len={LONGEST}"]
    return [*command, f"-dict={words}", f"-artifact_prefix={folder}/", *limits, *more]


def _dictionary(name: str) -> Iterator[str]:
    """Words in libFuzzer's way of writing them."""
    targets = TARGETS.values() if name == "all" else [TARGETS[name]]
    for word in dict.fromkeys(word for target in targets for word in target.words):
        yield '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def mixed(folder: Path) -> None:
    """Every input of every corpus, made one for the target ``all``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(TARGETS):
        for path in corpus(name):
            (folder / f"{name}-{path.name}").write_bytes(bytes([number]) + path.read_bytes())


def _guided(target: Target, seconds: int) -> str:
    known = WORK / target.name
    known.mkdir(parents=True, exist_ok=True)
    finds = WORK / "finds" / target.name
    finds.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / target.name
    command = options(target.name, finds, f"-max_total_time={seconds}", str(known), str(kept))
    run = subprocess.run(command, capture_output=True, text=True, errors="replace")
    for path in finds.iterdir():
        if path.name.startswith(("crash-", "timeout-", "oom-")):
            where = _keep(target, path.read_bytes())
            path.unlink()
            return f"BROKEN by {where}\n{story(run.stdout + run.stderr)}"
    if run.returncode:
        return f"cannot be run\n{(run.stdout + run.stderr)[-2000:]}"
    facts = re.findall(r"cov: (\d+).*?exec/s: (\d+)", run.stderr)
    total = re.search(r"Done (\d+) runs", run.stderr)
    print(f"{target.name:14}{total[1] if total else '?'} inputs, coverage {facts[-1][0]}")
    return ""


def _keep(target: Target, data: bytes) -> Path:
    path = CORPUS / target.name / f"found-{hashlib.blake2b(data, digest_size=6).hexdigest()}"
    path.write_bytes(data)
    return path


def story(text: str) -> str:
    """Return the traceback of a find, without libFuzzer's own output."""
    _, found, told = text.partition("=== Uncaught Python exception: ===")
    return told.partition("\n#")[0][:3000] if found else text[-1000:]


# Without coverage


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Generate the words of a target with random text between them, and mutations of its corpus."""
    kept = [path.read_bytes() for path in corpus(target.name)]
    piece = st.sampled_from(target.words) | st.binary(max_size=6) | st.text(max_size=4).map(_utf8)
    made = st.lists(piece, max_size=24).map(b"".join)
    if not kept:
        return made
    cut = st.integers(0, 200)
    kept = [data for data in kept if len(data) < 4096]
    changed = st.tuples(st.sampled_from(kept), cut, cut, made).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[3] + drawn[0][drawn[2] :]
    )
    return made | changed


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _unguided(target: Target, seconds: int) -> str:
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
        last = [b""]

        @seed(random.getrandbits(64))
        @settings(max_examples=1000, database=None, phases=(Phase.generate, Phase.shrink),
                  suppress_health_check=list(HealthCheck), deadline=None)  # fmt: skip
        @given(inputs(target))
        def search(data: bytes, last: list[bytes] = last) -> None:
            last[0] = data
            target.check(data)

        try:
            search()
        except Exception as error:
            return f"BROKEN by {_keep(target, last[0])}\n{error!r}"
    print(f"{target.name:14}{rounds * 1000} inputs, without coverage")
    return ""


if __name__ == "__main__":
    sys.exit(main())
