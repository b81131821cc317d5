"""The audit of dependencies: a hole fails ``make check``, an index that is not there does not."""

from __future__ import annotations

import json
from typing import Any

from tests.audit import verdict

GOOD = {"name": "requests", "version": "2.32.0", "vulns": []}
BAD = {
    "name": "jinja2",
    "version": "3.1.2",
    "vulns": [{"id": "GHSA-h5c8-rqwp-cp95", "fix_versions": ["3.1.3"], "aliases": []}],
}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI: ours (1.0)"}


def said(*packages: dict[str, Any]) -> tuple[str, int]:
    return verdict(json.dumps({"dependencies": packages, "fixes": []}), "")


def test_a_hole_fails() -> None:
    text, status = said(GOOD, BAD, UNKNOWN)
    assert status == 1
    assert "jinja2 3.1.2: GHSA-h5c8-rqwp-cp95, mended in 3.1.3" in text


def test_no_hole() -> None:
    assert said(GOOD, UNKNOWN) == ("no known holes in 1, 1 that the index does not know", 0)


def test_an_index_that_knows_nothing_is_named() -> None:
    text, status = said(UNKNOWN)
    assert (text, status) == ("not audited: Dependency not found on PyPI: ours (1.0)", 0)


def test_an_index_that_is_not_there_is_named() -> None:
    trace = "Traceback (most recent call last):\n  …\nConnectionError: api.example does not resolve"
    text, status = verdict("", trace)
    assert (text, status) == ("not audited: ConnectionError: api.example does not resolve", 0)
