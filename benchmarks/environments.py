"""What the peers need, kept away from the project: virtualenvs, and a program built from Go."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

WORK = Path(__file__).parent / "work"
"""Everything that the benchmarks write, except for the results; git ignores it."""

_CRAWLER = Path(__file__).parent.parent / "crawler"
# mypy does not look into folders with a dot.
_ENVIRONMENTS = WORK / ".environments"

PACKAGES: dict[str, tuple[str, ...]] = {
    "scrapy": ("scrapy>=2.19", "beautifulsoup4", "lxml"),
    "crawlee": ("crawlee[beautifulsoup]>=1.11",),
    "requests": ("requests", "beautifulsoup4", "lxml"),
}
"""What is installed into the virtualenv of each name."""

GO_PACKAGES = ("golang-go", "golang-github-puerkitobio-goquery-dev")
"""The Debian packages that the Go crawler needs."""
_GO_SOURCE = Path(__file__).parent / "peers" / "go_crawl.go"
# Where Debian's packages put sources; no module is downloaded.
_GO_SETTINGS = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}


class NotThereError(Exception):
    """Something that a peer needs is not installed; the message says what."""


@cache
def python(environment: str | None) -> str:
    """The interpreter of a virtualenv, made if it is not there; None is the one running, for which
    the crawler is compiled.

    Raises NotThereError where it cannot be made.
    """
    if environment is None:
        # As pip does with what it installs; where Python may not write bytecode, a checkout
        # would be compiled again at each start.
        compileall.compile_dir(_CRAWLER, quiet=1)
        return sys.executable
    folder = _ENVIRONMENTS / environment
    ready = folder / "benchmark-ready"
    if not ready.exists():
        print(f"Making {environment}'s virtualenv …", file=sys.stderr, flush=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run([*install, *PACKAGES[environment]], check=True)
        except subprocess.CalledProcessError as error:
            raise NotThereError(f"{environment} could not be installed: {error}") from None
        ready.touch()
    return str(folder / "bin" / "python")


@cache
def go_crawler() -> str:
    """The Go crawler, built anew. Raises NotThereError where it cannot be built."""
    go = shutil.which("go")
    if go is None:
        raise NotThereError(f"for a Go crawler: apt-get install {' '.join(GO_PACKAGES)}")
    program = _ENVIRONMENTS / "go_crawl"
    settings = {**os.environ, **_GO_SETTINGS, "GOCACHE": str(_ENVIRONMENTS / "go-cache")}
    built = subprocess.run(
        [go, "build", "-o", str(program), str(_GO_SOURCE)],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise NotThereError(
            f"the Go crawler cannot be built (apt-get install {' '.join(GO_PACKAGES)}): "
            f"{built.stderr.strip().splitlines()[0]}"
        )
    return str(program)


def go_version() -> str:
    """The version of the Go that is installed."""
    shown = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True)
    return shown.stdout.strip().removeprefix("go")


def versions(environment: str | None, names: list[str]) -> dict[str, str]:
    """The versions of packages in a virtualenv."""
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]), sep='\\n')"
    found = subprocess.run(
        [python(environment), "-c", code, *names], check=True, capture_output=True, text=True
    )
    return dict(zip(names, found.stdout.split(), strict=True))
