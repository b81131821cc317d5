"""``benchmarks.trees``: it compares before it measures."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from benchmarks import trees
from tests.trees import POSTGRES


@pytest.mark.skipif(not POSTGRES.is_dir(), reason="needs postgresql-doc-15")
def test_rows_have_both_ways_to_the_same() -> None:
    gc.unfreeze()  # what all tests have frozen
    before = gc.get_threshold()
    try:
        rows = trees.measure("postgresql", rounds=1, every=600)
        assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
    finally:
        gc.freeze()
    assert [row.name for row in rows] == [
        "tree: response.soup",
        "tree: response.soup, collected by Python",
        "select('h1, h2')",
        "select('a[href]')",
    ]
    assert all(row.pages == 2 and row.ratio == row.other / row.ours for row in rows)
    lines = trees.table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert lines[2].startswith("| postgresql: `tree: response.soup` against `BeautifulSoup(body,")


@pytest.mark.parametrize("markup", [b"<p>a<!--b-->", b"<p>a<b>c</b>", b"<p class=x>a"])
def test_trees_that_differ_are_an_error(
    markup: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<p>a")
    trees.check(page)
    monkeypatch.setattr(trees, "_beautifulsoup", lambda _: BeautifulSoup(markup, "lxml"))
    with pytest.raises(trees.DifferentError, match=r"page\.html: the trees are not the same"):
        trees.check(page)


def test_tags_that_differ_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<h1>a</h1>")
    monkeypatch.setattr("crawler.parsing.soup.lazy_tags._tags", lambda *_: iter(()))
    monkeypatch.setattr("crawler.parsing.soup.lazy_tags._lazy_tags", lambda *_: iter(()))
    with pytest.raises(trees.DifferentError, match=r"select\('h1, h2'\) gives other tags"):
        trees.check(page)
