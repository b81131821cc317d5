"""Install the other crawlers apart from the project: virtualenvs, and a program built from Go."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

WORK = Path(__file__).parent / "work"
"""The folder for everything that the benchmarks write except results; git ignores it."""

_CRAWLER = Path(__file__).parent.parent / "crawler"
# mypy ignores folders whose name begins with a dot.
_ENVIRONMENTS = WORK / ".environments"

PACKAGES: dict[str, tuple[str, ...]] = {
    "scrapy": ("scrapy>=2.19", "beautifulsoup4", "lxml"),
    "crawlee": ("crawlee[beautifulsoup]>=1.11",),
    "requests": ("requests", "beautifulsoup4", "lxml"),
}
"""The packages of each virtualenv, by its name."""

GO_PACKAGES = ("golang-go", "golang-github-puerkitobio-goquery-dev")
"""The Debian packages that the Go crawler needs."""
_GO_SOURCE = Path(__file__).parent / "peers" / "go_crawl.go"
# Where Debian's packages put sources; no module is downloaded.
_GO_SETTINGS = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}


class MissingDependencyError(Exception):
    """A package that another crawler needs is not installed; the message names it."""


@cache
def python(environment: str | None) -> str:
    """Return the interpreter of a virtualenv, which is created if it is missing.

    For None, compile the crawler and return the running interpreter. Raises
    MissingDependencyError if the packages cannot be installed.
    """
    if environment is None:
        # As pip does on installation. Where Python may not write bytecode, it would otherwise
        # compile the crawler again at each start.
        compileall.compile_dir(_CRAWLER, quiet=1)
        return sys.executable
    folder = _ENVIRONMENTS / environment
    ready = folder / "benchmark-ready"
    if not ready.exists():
        print(f"Creating {environment}'s virtualenv …", file=sys.stderr, flush=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run([*install, *PACKAGES[environment]], check=True)
        except subprocess.CalledProcessError as error:
            raise MissingDependencyError(f"{environment} could not be installed: {error}") from None
        ready.touch()
    return str(folder / "bin" / "python")


@cache
def go_crawler() -> str:
    """Build the Go crawler and return its path. Raises MissingDependencyError if that fails."""
    go = shutil.which("go")
    if go is None:
        raise MissingDependencyError(f"for a Go crawler: apt-get install {' '.join(GO_PACKAGES)}")
    program = _ENVIRONMENTS / "go_crawl"
    settings = {**os.environ, **_GO_SETTINGS, "GOCACHE": str(_ENVIRONMENTS / "go-cache")}
    build = subprocess.run(
        [go, "build", "-o", str(program), str(_GO_SOURCE)],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode:
        raise MissingDependencyError(
            f"the Go crawler cannot be built (apt-get install {' '.join(GO_PACKAGES)}): "
            f"{build.stderr.strip().splitlines()[0]}"
        )
    return str(program)


def go_version() -> str:
    """Return the version of the installed Go."""
    result = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True)
    return result.stdout.strip().removeprefix("go")


def versions(environment: str | None, names: list[str]) -> dict[str, str]:
    """Return the versions of packages in a virtualenv, by name."""
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]), sep='\\n')"
    result = subprocess.run(
        [python(environment), "-c", code, *names], check=True, capture_output=True, text=True
    )
    return dict(zip(names, result.stdout.split(), strict=True))
