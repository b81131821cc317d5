"""The map of the code: every module on its floor, with what its docstring says first.

``python -m tests.codemap`` writes it to ``docs/code.md``.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.test_architecture import FLOORS, PACKAGE, home_of, name_of

PAGE = Path(__file__).parents[1] / "docs" / "code.md"
HEAD = """\
# The code

Every module of `crawler/`, from the top down: a package imports only from those below it, and
modules never in a circle. `make map` writes this page, and a test compares it with the code.
To follow one URL through it, read [the way of a URL](guide.md#the-way-of-a-url).
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    paths = sorted(PACKAGE.rglob("*.py"), key=name_of)
    for home in ["demo", *reversed(FLOORS)]:
        rows = [_row(path, _about(path)) for path in paths if home_of(name_of(path)) == home]
        parts.append("\n".join([f"## {home}\n", *TABLE, *rows]) + "\n")
    return "\n".join(parts)


TABLE = ("| module | what it is |", "| --- | --- |")


def _row(path: Path, about: str) -> str:
    name = path.relative_to(PACKAGE)
    return f"| [{name}](../crawler/{name}) | {about} |"


def _about(path: Path) -> str:
    """The first paragraph of a module's docstring, in one line of Markdown."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.partition("\n\n")[0].split())
    return first.replace("``", "`").replace("|", r"\|").removesuffix(":")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
