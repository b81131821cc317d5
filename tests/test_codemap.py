"""``docs/code.md`` is a map of the code as it is."""

from __future__ import annotations

from tests.codemap import PAGE, page
from tests.test_architecture import PACKAGE


def test_the_map_is_that_of_the_code() -> None:
    kept = PAGE.read_text(encoding="utf-8")
    assert kept == page(), "make map writes it anew"


def test_every_module_is_on_it_and_says_what_it_is() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| [")]
    assert len(rows) >= len(list(PACKAGE.rglob("*.py"))) - 1
    assert not [row for row in rows if row.endswith("|  |")]
