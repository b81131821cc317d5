"""Requests that are sent again, and from which URL; and pages that count for a limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Spider
from tests.jobs import items, run_job
from tests.login_sites.cases import AGAIN, Case
from tests.login_sites.checks import check, every_way, parameters
from tests.login_sites.crawls import Plan, crawl, describe
from tests.login_sites.design import Design
from tests.login_sites.launcher import Launcher
from tests.login_sites.pages import PASSWORD, USER
from tests.login_sites.site import LoginSite
from tests.login_sites.spiders import Member
from tests.sites import Site, links, redirect


@every_way(AGAIN)
def test_the_output_is_exact(tmp_path: Path, launcher: Launcher, case: Case, plan: Plan) -> None:
    check(case, plan, tmp_path, launcher)


STAYS = {"500": "always 500", "503": "always 503", "429": "always 429", "reset": "always reset"}


@pytest.mark.parametrize("kind", parameters("A16 {} each time", STAYS))
def test_a_login_that_never_works_has_failed_and_the_same_command_goes_on(
    tmp_path: Path, kind: str
) -> None:
    """It is tried a few times, and never counts as logged in."""
    design = Design(trouble=(STAYS[kind],))
    with LoginSite(design) as site:
        arguments = {"login_url": site.login_url}
        failed = run_job(Member, tmp_path, site.url("home"), arguments=arguments, retries=2)
        assert failed.exit_status == 4
        assert "login of member failed" in failed.login_errors[0]
        assert failed.counters.logins == 0
        assert failed.counters.failed == 0
        assert items(tmp_path) == []
        assert site.counts.begun == 3, "one, and two retries"
        site.trouble.clear()
        repaired = run_job(Member, tmp_path, site.url("home"), arguments=arguments, retries=2)
    assert repaired.exit_status == 0
    assert sorted(item["text"] for item in items(tmp_path)) == sorted(map(design.text, range(24)))
    assert site.logins == 1


def test_a_wrong_password_is_called_so_and_sent_once(tmp_path: Path, launcher: Launcher) -> None:
    outcome = crawl(Design(), tmp_path / "job", launcher, Plan("Forgetful"))
    assert outcome.report["status"] == 4, describe(outcome)
    assert "Wrong name or password" in outcome.report["login_errors"][0]
    assert outcome.site.counts.begun == outcome.site.counts.wrong == 1
    assert outcome.items == []


class Visitor(Spider):
    """Logs in, and follows every link; an item a page."""

    name = "visitor"
    login_url = ""

    def login(self, session: Any) -> None:
        form = session.open(self.login_url).form("form")
        session.submit(form, user=USER, password=PASSWORD)

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


@pytest.mark.parametrize(
    "kind", parameters("A18 {}", ["linked 1", "linked 4", "linked 16", "seeds 4"])
)
def test_redirects_to_a_known_page_do_not_exceed_max_pages(
    tmp_path: Path, site: Site, kind: str
) -> None:
    origin, concurrency = kind.split()
    redirects = [f"{site.url}/r/{number}" for number in range(60)]
    site.pages["/login"] = lambda visit: (
        "<form method=post><input name=user><input type=password name=password></form>"
        if visit.method == "GET"
        else redirect("/welcome", 302, ("Set-Cookie", "sid=1"))
    )
    site.pages["/welcome"] = "welcome"
    site.pages["/"] = links(*redirects)
    site.pages["/known"] = links(*(f"/p/{number}" for number in range(60)))
    site.otherwise = lambda visit: redirect("/known") if "/r/" in visit.path else "page"
    seeds = [f"{site.url}/"] if origin == "linked" else [f"{site.url}/known", *redirects]
    summary = run_job(
        Visitor,
        tmp_path,
        *seeds,
        arguments={"login_url": f"{site.url}/login"},
        max_pages=10,
        concurrency=int(concurrency),
        concurrency_per_host=int(concurrency),
    )
    assert summary.counters.done + summary.counters.failed == 10
