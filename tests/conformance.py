"""The public conformance vectors, where they are at hand.

They lie beside the repository, in ``../shared/conformance``, and are never copied into it.
``python -m tests.conformance`` judges the project by them and writes ``docs/conformance.md``.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT.parent / "shared" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"


class Row(dict[str, Any]):
    """One row of vectors, which knows the file that it is from."""

    file = ""


def rows(name: str) -> list[Any]:
    """The rows of one file as parameters for ``pytest.mark.parametrize``, each with its id.

    Where the vectors are not at hand this is one parameter, whose test skips and says so.
    """
    path = FOLDER / name
    if not path.is_file():
        reason = f"the conformance vectors are not at hand: there is no {path}"
        return [pytest.param({}, id="no-vectors", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(row, id=row["id"]) for row in _read(path)]


def _read(path: Path) -> Iterator[Row]:
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            row = Row(json.loads(line))
            row.file = path.relative_to(FOLDER).as_posix()
            yield row


def expect_misses(parameters: list[Any], reasons: dict[str, str]) -> list[Any]:
    """``parameters`` with those named in ``reasons`` marked as misses that are expected.

    A miss that no longer happens fails the tests, and so does a reason for a row that is gone.
    """
    if parameters[0].id == "no-vectors":
        return parameters
    unknown = reasons.keys() - {parameter.id for parameter in parameters}
    assert not unknown, f"no such rows: {sorted(unknown)}"
    return [
        pytest.param(
            *parameter.values,
            id=parameter.id,
            marks=pytest.mark.xfail(reason=reasons[parameter.id], strict=True),
        )
        if parameter.id in reasons
        else parameter
        for parameter in parameters
    ]


# What the tests make of them


@dataclass
class Judged:
    """One file of vectors: its rows, the tests that judge them, and the misses they expect.

    That a miss is one, and that every other row passes, is what these tests hold.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    tests: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    misses: dict[str, str] = field(default_factory=dict)
    """Why, by the id of the row."""

    def passed(self, tier: str | None = None) -> int:
        """Return the number of rows that pass, or of those of a tier."""
        good = self.seen - self.misses.keys()
        return sum(row["id"] in good for row in self.of_tier(tier))

    def of_tier(self, tier: str | None) -> list[Row]:
        """All rows, or those of a tier."""
        return [row for row in self.rows if tier is None or row.get("tier") == tier]

    @property
    def tiers(self) -> list[str]:
        """The tiers that the rows name."""
        return list(dict.fromkeys(row["tier"] for row in self.rows if "tier" in row))


def judge() -> list[Judged]:
    """Every file that is at hand, as the tests mark its rows."""
    paths = sorted(FOLDER.glob("*/*.jsonl"))
    files = {path.relative_to(FOLDER).as_posix(): path for path in paths}
    judged = {name: Judged(name, list(_read(path))) for name, path in files.items()}
    for path in reading():
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for parameter in _parameters(module):
            for row in parameter.values:
                if isinstance(row, Row):
                    _note(judged[row.file], row, path, parameter.marks)
    return list(judged.values())


def _note(file: Judged, row: Row, path: Path, marks: Iterable[pytest.Mark]) -> None:
    file.tests.add(str(path.relative_to(ROOT / "tests")))
    file.seen.add(row["id"])
    for mark in marks:
        if mark.name == "xfail":
            file.misses[row["id"]] = mark.kwargs["reason"]


def reading() -> list[Path]:
    """The test files that read vectors."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in paths if "from tests.conformance" in path.read_text("utf-8")]


def _parameters(module: ModuleType) -> Iterator[Any]:
    for function in vars(module).values():
        for mark in getattr(function, "pytestmark", ()) if callable(function) else ():
            if mark.name == "parametrize":
                yield from (one for one in mark.args[1] if hasattr(one, "marks"))


# The page

HEAD = """\
# Conformance

Results of this project's functions on public test suites. `python -m tests.conformance` runs the
tests that read the vectors and writes this page; a test fails when the page is out of date. The
vectors are beside the repository and not part of it: if they are missing, these tests are skipped
with a message.

Every miss is expected and has its reason below. When a miss starts to pass, its test fails
(`xfail(strict=True)`). No row is omitted. Of the same rows the standard library's cookie jar passes
174 of 210 (`rfc6265`), and Protego alone, the basis of our rules for robots.txt, 364 of 375
(`rfc9309`).
"""


def page(judged: list[Judged]) -> str:
    """``docs/conformance.md``."""
    lines = [
        HEAD,
        "| vectors | rows | passed | misses | judged in |",
        "| --- | --- | --- | --- | --- |",
    ]
    for file in judged:
        where = ", ".join(f"`{test}`" for test in sorted(file.tests)) or "nowhere"
        lines.append(_line(f"`{file.name}`", file, None, where))
        lines += [_line(f"… tier `{tier}`", file, tier, "") for tier in file.tiers]
    total = sum(len(file.rows) for file in judged)
    passed = sum(file.passed() for file in judged)
    lines.append(f"| **all** | **{total:,}** | **{passed:,}** | **{total - passed}** | |")
    lines += ["", "## Misses, and why"]
    for file in judged:
        if file.misses:
            lines += ["", f"### {file.name}", "", *_reasons(file)]
    return "\n".join(lines) + "\n"


def _line(name: str, file: Judged, tier: str | None, where: str) -> str:
    count, passed = len(file.of_tier(tier)), file.passed(tier)
    return f"| {name} | {count} | {passed} | {count - passed or ''} | {where} |"


def _reasons(file: Judged) -> list[str]:
    by_reason = defaultdict(list)
    for row in file.rows:
        if row["id"] in file.misses:
            by_reason[file.misses[row["id"]]].append(row["id"])
    return [f"- {_named(ids)}: {reason}." for reason, ids in by_reason.items()]


def _named(ids: list[str]) -> str:
    shown = ", ".join(f"`{one}`" for one in ids[:3])
    return shown if len(ids) <= 3 else f"{shown} and {len(ids) - 3} more"


class _Vectors:
    """Leaves out every test that reads no vectors."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [one for one in items if _is_of_vectors(one)]


def _is_of_vectors(test: Any) -> bool:
    values = test.callspec.params.values() if hasattr(test, "callspec") else ()
    return any(isinstance(value, Row) for value in values)


def main() -> int:
    """Run the tests that read vectors, and write the page when all is as it is expected."""
    if not FOLDER.is_dir():
        print(f"the conformance vectors are not at hand: there is no {FOLDER}", file=sys.stderr)
        return 1
    status = pytest.main(["-q", "-r", "fE", *map(str, reading())], plugins=[_Vectors()])
    if status == pytest.ExitCode.OK:
        PAGE.write_text(page(judge()), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    return int(status)


if __name__ == "__main__":
    from tests import conformance  # not this copy: the tests import the other one

    sys.exit(conformance.main())
