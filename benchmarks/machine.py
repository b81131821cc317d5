"""What the figures were measured on."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from benchmarks.crawlers import Crawler
from benchmarks.environments import versions
from crawler.settings import VERSION, usable_cores

_PACKAGES: dict[str, tuple[str | None, list[str]]] = {
    "crawler": (None, ["requests", "beautifulsoup4", "lxml", "parsel"]),
    "requests": (None, ["requests", "beautifulsoup4", "lxml"]),
    "scrapy": ("scrapy", ["Scrapy", "Twisted", "parsel", "beautifulsoup4", "lxml"]),
    "crawlee": ("crawlee", ["crawlee", "beautifulsoup4", "lxml"]),
}


def describe(crawlers: list[Crawler]) -> list[str]:
    """Lines about the machine and about the versions of what was compared."""
    lines = [
        hardware(),
        f"{interpreter()}, {_nginx()}, both ends on the same cores",
    ]
    for family in dict.fromkeys(crawler.key.partition("-")[0] for crawler in crawlers):
        environment, names = _PACKAGES[family]
        found = versions(environment, names)
        own = f"crawler {VERSION} with " if family == "crawler" else ""
        lines.append(own + ", ".join(f"{name} {version}" for name, version in found.items()))
    return lines


def hardware() -> str:
    """A line about cores, memory and system."""
    return (
        f"{usable_cores()} cores of {_cpu()}, {_memory_gb():.0f} GB of memory, "
        f"{platform.system()} {platform.release().split('-')[0]}"
    )


def interpreter() -> str:
    """Name and version of the Python that runs."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    first = Path("/proc/meminfo").read_text().splitlines()[0]
    return int(first.split()[1]) / 1024**2


def _nginx() -> str:
    shown = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False)
    return shown.stderr.strip().rpartition(" ")[2].replace("/", " ")
