"""Virtualenvs of the peers, so that none of them is installed into the project's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORK = Path(__file__).parent / "work"
"""Everything that the benchmarks write, except for the results; git ignores it."""

# mypy does not look into folders with a dot.
_ENVIRONMENTS = WORK / ".environments"

PACKAGES: dict[str, tuple[str, ...]] = {
    "scrapy": ("scrapy>=2.19", "beautifulsoup4", "lxml"),
    "crawlee": ("crawlee[beautifulsoup]>=1.11",),
}
"""What is installed into the virtualenv of each name."""


def python(environment: str | None) -> str:
    """The interpreter of a virtualenv, made if it is not there; None is the one running."""
    if environment is None:
        return sys.executable
    folder = _ENVIRONMENTS / environment
    ready = folder / "benchmark-ready"
    if not ready.exists():
        print(f"Making {environment}'s virtualenv …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *PACKAGES[environment]], check=True)
        ready.touch()
    return str(folder / "bin" / "python")


def versions(environment: str | None, names: list[str]) -> dict[str, str]:
    """The versions of packages in a virtualenv."""
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]), sep='\\n')"
    found = subprocess.run(
        [python(environment), "-c", code, *names], check=True, capture_output=True, text=True
    )
    return dict(zip(names, found.stdout.split(), strict=True))
