"""``benchmarks.soup_trees``: the trees are compared before any time is measured."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from benchmarks import soup_trees
from tests.trees import POSTGRES


@pytest.mark.skipif(not POSTGRES.is_dir(), reason="needs postgresql-doc-15")
def test_a_row_has_the_times_of_both_ways() -> None:
    gc.unfreeze()  # what all tests have frozen
    before = gc.get_threshold()
    try:
        rows = soup_trees.measure("postgresql", rounds=1, every=600)
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
    lines = soup_trees.table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert lines[2].startswith("| postgresql: `tree: response.soup` against `BeautifulSoup(body,")


@pytest.mark.parametrize("markup", [b"<p>a<!--b-->", b"<p>a<b>c</b>", b"<p class=x>a"])
def test_trees_that_differ_are_an_error(
    markup: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<p>a")
    soup_trees.check(page)
    monkeypatch.setattr(soup_trees, "_beautifulsoup", lambda _: BeautifulSoup(markup, "lxml"))
    with pytest.raises(soup_trees.DifferentError, match=r"page\.html: the trees are not the same"):
        soup_trees.check(page)


def test_tags_that_differ_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<h1>a</h1>")
    monkeypatch.setattr("crawler.parsing.soup.lazy_tags._tags", lambda *_: iter(()))
    monkeypatch.setattr("crawler.parsing.soup.lazy_tags._lazy_tags", lambda *_: iter(()))
    with pytest.raises(soup_trees.DifferentError, match=r"select\('h1, h2'\) gives other tags"):
        soup_trees.check(page)
