"""The vectors that no other test reads, JSON lines, and the page about all of them."""

from __future__ import annotations

import base64
import io
import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import SeedError
from crawler.job.seed_formats import BadRow, rows_of
from crawler.output.items import ItemWriter
from crawler.output.jsonlines import JSONLines
from tests import conformance
from tests.conformance import Judged, Row, expect_misses, rows

VECTORS = rows("jsonlines/jsonl_rules.jsonl")


def bytes_of(row: dict[str, Any]) -> bytes:
    return base64.b64decode(row["bytes_b64"]) if "bytes_b64" in row else row["text"].encode()


def read_strictly(data: bytes) -> list[Any]:
    """The values of JSON lines, by the rules of jsonlines.org. Raises ValueError for others."""
    lines = data.decode("utf-8").removesuffix("\n").split("\n") if data else []
    if any(not line.strip() for line in lines):
        raise ValueError("a line is blank")
    return [json.loads(line) for line in lines]


# What judges the output below is judged first.
@pytest.mark.parametrize("row", VECTORS)
def test_the_rules_that_the_output_is_judged_by(row: dict[str, Any]) -> None:
    if row["valid"]:
        assert read_strictly(bytes_of(row)) == row["values"]
    else:
        with pytest.raises(ValueError, match=r"blank|BOM|decode|Extra data|Expecting"):
            read_strictly(bytes_of(row))


@pytest.mark.parametrize("row", VECTORS)
def test_the_output_is_valid_whatever_stood_behind_the_last_commit(
    row: dict[str, Any], tmp_path: Path
) -> None:
    """Written values can be read again; the half line of a killed process is removed."""
    path = tmp_path / "items.jsonl"
    lines = b"".join(map(ItemWriter().line, row.get("values", [{"a": "é\u2028\n"}])))
    path.write_bytes(lines + bytes_of(row))
    with closing(JSONLines(path, len(lines))) as sink:
        sink.append(lines)
    values = row.get("values", [{"a": "é\u2028\n"}])
    assert read_strictly(path.read_bytes()) == values * 2


LENIENT = {
    "jsonlines/invalid/blank-line": "a seed list may have blank lines; the output has none",
    "jsonlines/invalid/trailing-blank-line": "a seed list may have blank lines; the output has "
    "none",
    "jsonlines/invalid/bom": "a seed list may begin with a byte order mark, as Windows writes it; "
    "the output has none",
}


@pytest.mark.parametrize("row", expect_misses(VECTORS, LENIENT))
def test_a_seed_list_is_read_line_by_line(row: dict[str, Any]) -> None:
    try:
        found = list(rows_of(io.BytesIO(bytes_of(row)), "seeds.jsonl", ".jsonl"))
    except SeedError:
        found = [BadRow(1, "", "is no JSON: no text")]
    broken = [one for one in found if isinstance(one, BadRow) and "is no JSON" in one.reason]
    assert (not broken) is row["valid"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
written = st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=3)
lines = st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=3)


@given(committed=written, lost=lines, cut=st.integers(0, 200))
def test_items_cut_anywhere_are_as_they_were_committed(
    committed: list[Any], lost: list[Any], cut: int
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "items.jsonl")
        writer = ItemWriter()
        with closing(JSONLines(path, 0)) as sink:
            sink.append(b"".join(map(writer.line, committed)))
            length = sink.length
            sink.append(b"".join(map(writer.line, lost))[:cut])
        JSONLines(path, length).close()
        assert read_strictly(path.read_bytes()) == committed


# The page


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    if not conformance.FOLDER.is_dir():
        pytest.skip(f"the conformance vectors are not at hand: there is no {conformance.FOLDER}")
    return conformance.judge()


def test_every_row_is_read_by_a_test(judged: list[Judged]) -> None:
    for file in judged:
        assert {row["id"] for row in file.rows} == file.seen, file.name


def test_the_page_is_up_to_date(judged: list[Judged]) -> None:
    assert conformance.PAGE.read_text("utf-8") == conformance.page(judged), (
        "run python -m tests.conformance"
    )


def test_enough_cookies_and_robots_rules_are_right(judged: list[Judged]) -> None:
    files = {file.name: file for file in judged}
    assert files["cookies/http_state.jsonl"].passed("rfc6265") >= 0.95 * 210
    assert files["robots/google_spec_test.jsonl"].passed("rfc9309") > 364


def test_the_page_counts_rows_tiers_and_misses() -> None:
    file = Judged("x/y.jsonl", [Row(id=f"r{n}", tier="ab"[n % 2]) for n in range(5)], {"test_x.py"})
    file.seen = {"r0", "r1", "r2", "r3"}
    file.misses = {"r1": "on purpose", "r3": "on purpose"}
    lines = conformance.page([file]).splitlines()
    assert "| `x/y.jsonl` | 5 | 2 | 3 | `test_x.py` |" in lines
    assert "| … tier `a` | 3 | 2 | 1 |  |" in lines
    assert "| … tier `b` | 2 | 0 | 2 |  |" in lines
    assert "- `r1`, `r3`: on purpose." in lines
