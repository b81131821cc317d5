"""``make fuzz``: search every target for input that breaks it.

Coverage-guided by atheris (libFuzzer) where it is installed, else by Hypothesis alone. What breaks
a target is put into its corpus, where every later run of the tests tries it; commit it with the
fix. Exit status 1 when something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
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
"""What the searches have learnt, to go on from; not kept in the repository."""
LONGEST = 64 * 1024
"""Bytes of an input."""
SLOWEST = 20
"""Seconds that one input may take before it counts as found: a thousand times the usual."""
MOST_MEMORY = 2048
"""Megabytes."""


def main() -> int:
    """Run the searches that the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)} [all of them]")
    parser.add_argument("--seconds", type=int, default=60, help="for each target [60]")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - TARGETS.keys()
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}: {', '.join(TARGETS)}")
    guided = has_atheris()
    if not guided:
        print("atheris is not installed here: Hypothesis searches alone, without coverage")
    broken = []
    for name in arguments.targets or TARGETS:
        search = _guided if guided else _unguided
        found = search(TARGETS[name], arguments.seconds)
        broken += [name] if found else []
        print(f"{name:14}{found or 'nothing found'}", flush=True)
    return 1 if broken else 0


def has_atheris() -> bool:
    """True where the coverage-guided fuzzer is installed; it has wheels for few platforms."""
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
    """The traceback of a find, without what libFuzzer says around it."""
    _, found, told = text.partition("=== Uncaught Python exception: ===")
    return told.partition("\n#")[0][:3000] if found else text[-1000:]


# Without coverage


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """The words of a target with anything between them, and what is in its corpus, changed."""
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

        @seed(rounds)
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
