"""Crawl every behaviour of the hostile web, and write the measurements to ``docs/hostile.md``.

Each is crawled by a separate process, so that memory is measured separately. ``make hostile`` runs
this.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.hostile import bodies, heads, hosts, pages
from tests.hostile.crawls import ALL, SETTINGS, Certificates, crawl
from tests.hostile.web import Behaviour, Web

PAGE = Path(__file__).parents[2] / "docs" / "hostile.md"
PARTS = {
    "Bodies": bodies.ALL,
    "Status lines, headers and cookies": heads.HEADERS,
    "Redirects": heads.REDIRECTS,
    "Retry-After": heads.waits(),
    "Pages and links": pages.ALL,
    "robots.txt": hosts.RULES,
    "Names": hosts.NAMES,
    "Certificates": hosts.CERTIFICATES,
}
HEAD = "| what a site does | what the crawler does | time | memory |"
INTRODUCTION = f"""\
# Hostile sites

`tests/hostile` is a web of hostile sites: each behaviour is a host, together with the reaction
that is expected of the crawler. `pytest tests/hostile` checks that reaction, and that all other
hosts are crawled meanwhile. `make hostile` measures it and writes this page. The limits and their
reasons are in the [reference](reference.md#limits).

The spider reads each page in every possible way (`text`, `css`, `xpath`, `links`, `form`, `soup`,
`select`) and follows every link. Time is that of the whole crawl, including robots.txt and retries,
without a delay and with small limits, so that the test is short:
{", ".join(f"`{name}={value:g}`" for name, value in SETTINGS.items())}. With the defaults no fetch
takes longer than `timeout`, 60 s, and its host has no other slot meanwhile. Memory is the growth of
the process compared with crawling an ordinary page; `max_body` has its default, 32 MiB.
"""


def measure(behaviour: Behaviour, url: str, bundle: str) -> dict[str, Any]:
    """Crawl in this process; return seconds, bytes of memory, and the causes of failures."""
    with TemporaryDirectory() as name, Web([ORDINARY]) as web:
        folder = Path(name)
        crawl(ORDINARY, web.url(ORDINARY), folder / "ordinary")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        ending = crawl(behaviour, url, folder / "hostile", bundle)
        seconds = time.monotonic() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    causes = sorted([*ending.causes.values(), ending.summary.waits_for])
    return {"seconds": seconds, "memory": grown * 1024, "causes": causes}


ORDINARY = Behaviour(
    "ordinary", "", "", lambda wire: wire.page("<title>x</title><form><a href='/'>x</a></form>")
)


def measured(behaviour: Behaviour, web: Web, bundle: Path) -> dict[str, Any]:
    """Run ``measure`` in a separate process."""
    number = str(ALL.index(behaviour))
    command = [sys.executable, "-m", "tests.hostile", number, web.url(behaviour), str(bundle)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    figures: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return figures


def row(behaviour: Behaviour, figures: dict[str, Any]) -> str:
    """Return a line of the table; an unexpected reaction stands in bold."""
    causes = figures["causes"]
    as_expected = not behaviour.cause or any(behaviour.cause in cause for cause in causes)
    reaction = behaviour.reaction if as_expected else f"**unexpected**: {', '.join(causes)}"
    size = _size(figures["memory"])
    cells = (behaviour.description, reaction, f"{figures['seconds']:.1f} s", size)
    return f"| {' | '.join(cells)} |"


def _size(size: int) -> str:
    return f"{size / 1024**2:.0f} MB" if size >= 1024**2 else "under 1 MB"


def main() -> None:
    """Measure all behaviours or, with arguments, one in a process that ``measured`` starts."""
    if len(sys.argv) > 1:
        number, url, bundle = sys.argv[1:]
        print(json.dumps(measure(ALL[int(number)], url, bundle)))
        return
    lines = [INTRODUCTION]
    with TemporaryDirectory() as name:
        certificates = Certificates(Path(name))
        with Web(ALL, certificates) as web:
            for part, behaviours in PARTS.items():
                lines += [f"## {part}\n", HEAD, "| --- | --- | --- | --- |"]
                for behaviour in behaviours:
                    listed = next(entry for entry in ALL if entry.name == behaviour.name)
                    figures = measured(listed, web, certificates.known.bundle)
                    lines.append(row(listed, figures))
                    print(lines[-1], file=sys.stderr)
                lines.append("")
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
