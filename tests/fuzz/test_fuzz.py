"""Fuzz every reader with a limited amount of input; ``make fuzz`` searches longer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import has_atheris, inputs, mixed, options, story
from tests.fuzz.targets import CORPUS, TARGETS, corpus

ROOT = Path(__file__).parents[2]
EXAMPLES = 150
RUNS = 5_000
KEPT = [(name, path) for name in TARGETS for path in corpus(name)]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{n}/{path.name}" for n, path in KEPT])
def test_inputs_that_found_a_bug_find_none(name: str, path: Path) -> None:
    TARGETS[name].check(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_made_up_input(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES)
    @given(inputs(target))
    def search(data: bytes) -> None:
        target.check(data)

    search()


@pytest.mark.skipif(not has_atheris(), reason="atheris has no wheel for this platform")
def test_input_led_by_coverage(tmp_path: Path) -> None:
    """Run all targets in turn; a find is printed, to be added to the corpus."""
    seeds = tmp_path / "seeds"
    mixed(seeds)
    (tmp_path / "finds").mkdir()
    command = options("all", tmp_path / "finds", f"-runs={RUNS}", "-seed=1", "-max_len=4096")
    run = subprocess.run(
        [*command, str(seeds)], cwd=ROOT, capture_output=True, text=True, errors="replace"
    )
    said = run.stdout + run.stderr
    found = [path.read_bytes()[:2000] for path in (tmp_path / "finds").glob("*-*")]
    assert run.returncode == 0, f"{story(said)}\n{found}"
    assert f"Done {RUNS} runs" in said


def test_a_broken_reader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine works: a reader that forgets one case does not pass."""

    def broken(data: bytes) -> None:
        assert b"Disallow" not in data or b"<br>" not in data

    target = TARGETS["robots"]

    @settings(max_examples=2000, database=None, phases=[Phase.generate])
    @given(inputs(target))
    def search(data: bytes) -> None:
        broken(data)

    with pytest.raises(AssertionError):
        search()


def test_every_target_has_a_corpus() -> None:
    folders = {path.name for path in CORPUS.iterdir() if path.is_dir()}
    assert folders == set(TARGETS)
    assert all(list(corpus(name)) for name in TARGETS)


@given(st.binary(max_size=40))
def test_all_targets_have_different_names(data: bytes) -> None:
    """``mixed`` and ``guided`` count the targets the same way."""
    names = list(TARGETS)
    for number, name in enumerate(names):
        mixed_input = bytes([number]) + data
        assert names[mixed_input[0] % len(names)] == name
