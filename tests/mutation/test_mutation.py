"""Mutation testing itself: which changes it makes, and that its report keeps the reasons."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

from tests.mutation import report
from tests.mutation.modules import MODULES
from tests.mutation.mutants import mutants

ROOT = Path(__file__).parents[2]
MODULE = '''
MOST = 3
log = 1.5
class Queue:
    size: int = 0
    def add(self, item: int | None, *, first: bool = True) -> bool:
        """Text."""
        if item is not None and self.size < MOST:
            log.info("%d", 5)
            self.size += 1
            return not first
        raise ValueError(f"{item + 1}")
'''


def test_each_change_is_small_and_named() -> None:
    changes = [(mutant.function, mutant.change) for mutant in mutants(MODULE)]
    both, is_some, is_less = "item is not None and self.size < MOST", "item is None", "self.size"
    add = "Queue.add"
    assert changes == [
        ("", "3 → 4"),
        ("", "3 → 2"),
        ("", "1.5 → 2.5"),
        ("", "1.5 → 0.75"),
        ("Queue", "0 → 1"),
        ("Queue", "0 → -1"),
        (add, "True → False"),
        (add, f"{both} → (item is not None or self.size < MOST)"),
        (add, f"{both} → ({is_less} < MOST)"),
        (add, f"{both} → (item is not None)"),
        (add, f"item is not None → ({is_some})"),
        (add, "self.size < MOST → (self.size <= MOST)"),
        (add, "self.size < MOST → (self.size >= MOST)"),
        (add, "self.size += 1 → pass"),
        (add, "self.size += 1 → self.size -= 1"),
        (add, "1 → 2"),
        (add, "1 → 0"),
        (add, "return not first → return None"),
        (add, "not first → (first)"),
        (add, 'raise ValueError(f"{item + 1}") → pass'),
    ]
    assert all(ast.parse(mutant.text) for mutant in mutants(MODULE))


def test_every_mutant_of_a_module_is_another_module() -> None:
    text = (ROOT / "crawler/fetching/lanes.py").read_text()
    changed = [ast.dump(ast.parse(mutant.text)) for mutant in mutants(text)]
    assert len(changed) > 100
    assert ast.dump(ast.parse(text)) not in changed


def test_every_module_and_its_tests_are_there() -> None:
    paths = {*MODULES, *itertools.chain(*MODULES.values())}
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_report_keeps_the_reasons_of_survivors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / report.PATH).parent.mkdir(parents=True)
    report.update(tmp_path, report.Section("b.py", 9, 5, {"f: 1 → 2": "", "f: a → b": ""}))
    report.update(tmp_path, report.Section("a.py", 3, 3, {}))
    text = (tmp_path / report.PATH).read_text()
    (tmp_path / report.PATH).write_text(text.replace("`` f: 1 → 2 ``:", "`` f: 1 → 2 ``: speed"))
    report.update(tmp_path, report.Section("b.py", 9, 6, {"f: 1 → 2": "", "g: 1 → 2": ""}))
    sections = report.read(tmp_path)
    assert list(sections) == ["a.py", "b.py"]
    assert sections["b.py"].survivors == {"f: 1 → 2": "speed", "g: 1 → 2": ""}
    assert report.unexplained(tmp_path, ["a.py"]) == 0
    assert report.unexplained(tmp_path, ["a.py", "b.py"]) == 1
    assert "b.py: g: 1 → 2" in capsys.readouterr().out
