"""``crawler.parsing.soup.nodes``: the nodes of a tree; whole trees are compared for ``builder``."""

from __future__ import annotations

import pytest

from crawler.parsing.soup import nodes
from crawler.parsing.soup.builder import build, quiet_builder
from tests.trees import looks, theirs


def test_made_up_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes.kinds, "MOST", len(nodes.kinds))
    markup = b"<made-up-1 class='a b'>x<made-up-2></made-up-2></made-up-1>"
    assert looks(build(markup)) == looks(theirs(markup))
    assert "made-up-1" not in nodes.kinds


def test_single_tags_have_no_neighbours_and_know_their_ancestors() -> None:
    target = nodes.TreeBuilderTarget(None, quiet_builder())
    for ancestors, text in (("pre",), "  "), ((), " "):
        target.begin(ancestors)
        tag = target.start("b", {"class": "x y"})
        target.data("  ")
        target.finish()
        assert (tag.parent, tag.next_sibling, tag.previous_element) == (None, None, None)
        assert tag["class"] == ["x", "y"]
        assert tag.string == text
