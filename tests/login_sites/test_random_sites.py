"""Sites that are made up at random: some of them are crawled, and the counting is checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.login_sites import random
from tests.login_sites.chance import design_of, plan_of
from tests.login_sites.checks import parameters
from tests.login_sites.crawls import Outcome, describe
from tests.login_sites.design import Design
from tests.login_sites.launcher import Launcher
from tests.login_sites.random import Result, broken, crawl_seed
from tests.login_sites.site import MEMBER, STRANGER, LoginSite
from tests.login_sites.walker import walk

SEEDS = [0, 1, 4, 5, 9, 10, 12, 16, 20, 23, 29, 40]
"""A sample with each kind of form, session, refusal and way to log in."""
ALL = range(300)


@pytest.mark.parametrize("seed", parameters("seed {}", map(str, SEEDS)))
def test_the_output_is_exact(tmp_path: Path, launcher: Launcher, seed: str) -> None:
    outcome = crawl_seed(int(seed), tmp_path / "job", launcher).outcome
    assert outcome.faults() == [], describe(outcome)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_client_that_knows_what_is_what_gets_all(seed: int) -> None:
    assert walk(design_of(seed)) == []


def test_a_seed_is_always_the_same_site_and_spider() -> None:
    assert [design_of(seed) for seed in SEEDS] == [design_of(seed) for seed in SEEDS]
    assert [plan_of(seed) for seed in SEEDS] == [plan_of(seed) for seed in SEEDS]


def test_chance_leaves_out_no_parameter_and_no_spider() -> None:
    designs = [design_of(seed) for seed in ALL]
    for field in fields(Design):
        values = {getattr(design, field.name) for design in designs}
        assert len(values) > 1, f"{field.name} is {values} everywhere"
    assert {design.strangers for design in designs} == {
        *("login", "bare login", "door", "home", "away", "sso", "script", "chain"),
        *("form", "note", "teaser", "soft", "error", "401", "403", "404", "419", "440"),
    }
    assert {plan_of(seed).spider for seed in ALL} == {
        *("Member", "Named", "Posting", "TwoSteps", "Api", "Responding"),
    }


# The counting: outcomes that are written by hand


class Case:
    """An outcome of a site with three pages, one of them closed, to be spoilt."""

    def __init__(self) -> None:
        self.site = LoginSite(Design(pages=3, closed=(2,)))
        self.site.counts.done = 1
        self.site.given |= {1: MEMBER, 2: MEMBER, 3: STRANGER}
        self.items: list[dict[str, Any]] = [
            {"url": self.site.url("home"), "text": "members only 0", "serial": 1},
            {"url": self.site.url("p1"), "text": "members only 1", "serial": 2},
        ]
        self.report: dict[str, Any] = {"status": 0, "failed": 1, "failures": {"http 403": 1}}
        self.report["login_errors"] = []
        self.log = ""

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.site, self.report, self.items, self.log, stuck=False)

    @property
    def verdicts(self) -> list[str]:
        return list(Result(0, "Member", 1, self.outcome).verdicts)


def test_a_crawl_without_fault() -> None:
    case = Case()
    assert case.outcome.faults() == []
    assert case.verdicts == [random.EXACT]
    assert broken(Counter(case.verdicts), 1) == []


def test_a_lost_page() -> None:
    case = Case()
    del case.items[1]
    assert case.outcome.faults() == ["lost 1 (page 1)"]
    assert case.verdicts == ["items not exact, silent", "pages lost, status 0, silent"]


def test_a_page_that_came_twice() -> None:
    case = Case()
    case.items.append(case.items[0])
    assert case.outcome.faults() == ["twice 1 (page 0)"]


@pytest.mark.parametrize("text", ["members only 1", "", "on request"])
def test_a_strangers_page(text: str) -> None:
    case = Case()
    case.items[1] |= {"text": text, "serial": 3}
    assert f"strangers' pages in the output: 1 ({case.site.url('p1')})" in case.outcome.faults()
    assert "strangers' pages in the output, silent" in case.verdicts
    assert "no stranger's page without a word" in broken(Counter(case.verdicts), 1)


def test_a_page_that_is_not_wanted() -> None:
    case = Case()
    case.items.append({"url": case.site.url("logout"), "text": "", "serial": 1})
    assert case.outcome.faults() == [f"not of the site: 1 ({case.site.url('logout')})"]


def test_too_many_logins() -> None:
    case = Case()
    case.site.counts.done, case.site.counts.ended = 3, 1
    assert case.outcome.faults() == ["3 logins, 2 were due"]
    assert "no more logins than due" in broken(Counter(case.verdicts), 1)


def test_the_link_that_logs_out() -> None:
    case = Case()
    case.site.counts.logged_out = 1
    assert case.outcome.faults() == ["the link that logs out was followed"]


@pytest.mark.parametrize("failed", [0, 2])
def test_failures_that_are_not_the_closed_pages(failed: int) -> None:
    case = Case()
    case.report["failed"] = failed
    assert case.outcome.faults() == ["failed {'http 403': 1}, not 1"]
    assert broken(Counter(case.verdicts), 1) == ["status and failures are right"]


def test_a_status_that_is_not_0() -> None:
    case = Case()
    case.report |= {"status": 4, "login_errors": ["login of member failed: no"]}
    assert case.outcome.faults() == ["status 4: login of member failed: no"]
    assert random.STOPPED in case.verdicts


def test_a_run_that_says_that_the_default_cannot_know() -> None:
    case = Case()
    del case.items[1]
    case.log = 'WARNING nothing shows who is logged in: add member_mark = "a.logout"'
    assert case.verdicts == ["items not exact, said", "pages lost, status 0, said"]
    assert broken(Counter(case.verdicts), 1) == ["the default knows at 98% of the sites"]
    assert broken(Counter(case.verdicts), 100) == []


def test_a_run_that_ended_with_an_exception() -> None:
    case = Case()
    case.report = {"error": "Traceback …\nKeyError: 'x'"}
    assert case.outcome.faults() == ["KeyError: 'x'"]


def test_seeds_on_the_command_line() -> None:
    assert random._seeds("3,17,40-42") == [3, 17, 40, 41, 42]
    assert random._seeds("0-2") == [0, 1, 2]
