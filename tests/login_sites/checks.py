"""Each case as tests: crawled in every way, by one check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.login_sites.cases import Case
from tests.login_sites.crawls import KILLS, Plan, crawl, describe
from tests.login_sites.known_faults import KNOWN
from tests.login_sites.launcher import Launcher

ENOUGH_PAGES = 13
"""Pages of a site that is large enough to kill its crawl as often as it should be."""


def every_way(cases: Mapping[str, Case]) -> pytest.MarkDecorator:
    """Return the parameters ``case`` and ``plan``: each case in each way to crawl it.

    Without ``--thorough``, a case is crawled without kills at 1 or at 16 requests at a time, one
    case after another; its crawl with kills has 4.
    """
    ways = []
    for number, (name, case) in enumerate(cases.items()):
        rest = ("4", "16") if number % 2 else ("4", "1")
        for way, plan in case.plans(name):
            marks = [*_marks(name, way), *([pytest.mark.thorough] if way in rest else [])]
            ways.append(pytest.param(case, plan, id=f"{name}-{way}", marks=marks))
    return pytest.mark.parametrize(("case", "plan"), ways)


def parameters(name: str, kinds: Iterable[str]) -> list[Any]:
    """Return parameters of a test of its own; ``name`` is that of a case, with a kind in it."""
    return [pytest.param(kind, marks=_marks(name.format(kind), "all")) for kind in kinds]


def _marks(name: str, way: str) -> list[Any]:
    ways, reason = KNOWN.get(name, ("", ""))
    if way in ways.split():
        return [pytest.mark.xfail(strict=True, reason=reason)]
    return [pytest.mark.xfail(strict=False, reason=reason)] if f"{way}?" in ways.split() else []


def check(case: Case, plan: Plan, folder: Path, launcher: Launcher) -> None:
    """Crawl, and fail saying all that is wrong."""
    outcome = crawl(case.design, folder / "job", launcher, plan)
    assert outcome.faults() == [], describe(outcome)
    if case.design.pages >= ENOUGH_PAGES:
        assert outcome.site.counts.kills == len(plan.kill_at) in (0, KILLS)
