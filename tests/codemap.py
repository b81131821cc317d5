"""Write ``docs/code.md``: the packages, their modules, and the way of one URL.

``python -m tests.codemap`` (``make map``) traces a page through all processes for it.
"""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

from tests.test_architecture import FLOORS, PACKAGE, home_of, name_of
from tests.trace import Call, Trace, trace

PAGE = Path(__file__).parents[1] / "docs" / "code.md"
HEAD = """\
# The code

`crawler/` from the top down: a package imports only from those below it, and modules never in a
circle. Each package says in its `__init__` what it is for and where to start reading. `make map`
writes this page, and a test compares it with the code. The [guide](guide.md#the-way-of-a-url) draws
the way of a URL.
"""
WAY = """\
## The way of one URL

Traced in all processes while a page of a running crawl was handled: each function that takes the
page, or what becomes of it, from another module.

| process | function | module |
| --- | --- | --- |
"""


def page(trace_of_page: Trace) -> str:
    """Return the whole page."""
    parts = [HEAD, WAY + "\n".join(map(_station, trace_of_page.stations)) + "\n"]
    paths = sorted(PACKAGE.rglob("*.py"), key=name_of)
    for home in ["demo", *reversed(FLOORS)]:
        rows = [_row(path, _about(path)) for path in paths if home_of(name_of(path)) == home]
        parts.append("\n".join([f"## {home}\n", *TABLE, *rows]) + "\n")
    return "\n".join(parts)


TABLE = ("| module | subject |", "| --- | --- |")


def _station(station: tuple[str, Call]) -> str:
    process, call = station
    path = call.callee.replace(".", "/") + ".py"
    return f"| {process} | `{call.function}` | [{path}](../crawler/{path}) |"


def _row(path: Path, about: str) -> str:
    name = path.relative_to(PACKAGE)
    return f"| [{name}](../crawler/{name}) | {about} |"


def _about(path: Path) -> str:
    """Return the first paragraph of a module's docstring, in one line of Markdown."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.partition("\n\n")[0].split())
    return first.replace("``", "`").replace("|", r"\|").removesuffix(":")


def traced() -> Trace:
    """Return the trace of a page, made in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="trace-") as folder:
        return trace(Path(folder))


if __name__ == "__main__":
    PAGE.write_text(page(traced()), encoding="utf-8")
