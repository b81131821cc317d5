"""Describe the machine of the measurements."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.crawlers import GO, Crawler
from benchmarks.environments import go_version, versions
from crawler.settings import VERSION, usable_cores

_PACKAGES: dict[str | None, list[str]] = {
    None: ["requests", "beautifulsoup4", "lxml", "parsel"],
    "scrapy": ["Scrapy", "Twisted", "parsel", "beautifulsoup4", "lxml"],
    "crawlee": ["crawlee", "beautifulsoup4", "lxml"],
    "requests": ["requests", "beautifulsoup4", "lxml"],
}


def describe(crawlers: Iterable[Crawler] = ()) -> list[str]:
    """Return lines about the machine and the versions of the programs compared."""
    environments = dict.fromkeys(crawler.environment for crawler in crawlers)
    return [hardware(), system(), *map(_versions, environments or {None: None})]


def hardware() -> str:
    """Return a line about cores, memory and system."""
    return (
        f"{usable_cores()} cores of {_cpu()}, {_memory_gb():.0f} GB of memory, "
        f"{platform.system()} {platform.release().split('-')[0]}"
    )


def system() -> str:
    """Return a line about interpreter and server."""
    return f"{interpreter()}, {_nginx()}, both ends on the same cores"


def interpreter() -> str:
    """Return name and version of the running Python."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def _versions(environment: str | None) -> str:
    if environment == GO:
        return f"Go {go_version()}, goquery as Debian packages it"
    packages = versions(environment, _PACKAGES[environment])
    own = "" if environment else f"crawler {VERSION} with "
    return own + ", ".join(f"{name} {version}" for name, version in packages.items())


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    first = Path("/proc/meminfo").read_text().splitlines()[0]
    return int(first.split()[1]) / 1024**2


def _nginx() -> str:
    try:
        shown = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no nginx"
    return shown.stderr.strip().rpartition(" ")[2].replace("/", " ")
