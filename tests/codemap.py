"""The map of the code: every module on its floor, with what its docstring says first.

``python -m tests.codemap`` writes it to ``docs/code.md``.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tests.test_architecture import FLOORS, PACKAGE, is_demo, name_of

PAGE = Path(__file__).parents[1] / "docs" / "code.md"
HEAD = """\
# The code

Every module of `crawler/`, from the top down: a module imports from its own floor or from one
below, and never in a circle. `make map` writes this page, and a test compares it with the code.
To follow one URL through it, read [the way of a URL](guide.md#the-way-of-a-url).
"""


def page() -> str:
    """The whole page."""
    said = {name_of(path): (path, _about(path)) for path in sorted(PACKAGE.rglob("*.py"))}
    floors = {**FLOORS, "the demo shop": set(filter(is_demo, said))}
    parts = [HEAD]
    for floor, names in floors.items():
        rows = [_row(*said[name]) for name in sorted(names)]
        parts.append("\n".join([f"## {floor[0].upper()}{floor[1:]}\n", *TABLE, *rows]) + "\n")
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
