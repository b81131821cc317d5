"""The report of mutation testing, which keeps why a survivor may survive."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PATH = Path("tests/mutation/REPORT.md")
HEAD = """# Small changes that no test notices

`make mutate` makes one small change of a module at a time, in a copy of the repository, and runs
the tests that come by there: it turns a comparison, drops a part of a condition, counts one more or
less, leaves a statement out, returns nothing. Where no test fails, the change is listed here with
the reason why none has to notice it. A module with many changes is tried by a sample, the same on
each run; `MOST=1000` tries all. Texts, SQL among them, and messages to the log stay as they are.

`tests/mutation` writes this page, apart from the reasons. It is not part of `make test`.
"""
_TITLE = re.compile(r"## (\S+)\n\n(\d+) changes, (\d+) tried")
_ROW = re.compile(r"^- `` (.+) ``: ?(.*)$", re.MULTILINE)


@dataclass
class Section:
    """What came of one module: ``survivors`` has the reason of each."""

    path: str
    every: int
    tried: int
    survivors: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        killed = self.tried - len(self.survivors)
        title = (
            f"## {self.path}\n\n{self.every} changes, {self.tried} tried, {killed} killed, "
            f"{len(self.survivors)} survived.\n"
        )
        rows = [f"- `` {change} ``: {why}".rstrip() for change, why in self.survivors.items()]
        return title + ("\n" + "\n".join(rows) + "\n" if rows else "")


def read(root: Path) -> dict[str, Section]:
    """Return the sections of the report, by the path of their module."""
    if not (root / PATH).exists():
        return {}
    sections = {}
    for text in re.split(r"\n(?=## )", (root / PATH).read_text()):
        if (title := _TITLE.match(text)) is not None:
            path, every, tried = title.groups()
            survivors = dict(_ROW.findall(text))
            sections[path] = Section(path, int(every), int(tried), survivors)
    return sections


def update(root: Path, section: Section) -> None:
    """Put a section in the place of the earlier one of its module; reasons stay."""
    sections = read(root)
    if section.path in sections:
        reasons = sections[section.path].survivors
        section.survivors = {change: reasons.get(change, "") for change in section.survivors}
    sections[section.path] = section
    texts = [str(section) for _, section in sorted(sections.items())]
    (root / PATH).write_text("\n".join([HEAD, *texts]))


def unexplained(root: Path, paths: Iterable[str]) -> int:
    """Print the survivors without a reason; return 1 if there are any."""
    sections = read(root)
    rows = [
        f"{path}: {change}"
        for path in paths
        for change, why in sections[path].survivors.items()
        if not why
    ]
    print("\n".join([*rows, f"{len(rows)} survivors have no reason in {PATH}"]))
    return int(bool(rows))
