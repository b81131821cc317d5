"""Several accounts in one job: each has its session, its requests, its delay and its quota."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawler import Account, LoginError, Request, Spider, crawl
from crawler.engine.engine import Engine, run
from crawler.errors import AccountError
from crawler.job.job import Job
from tests.jobs import failures, items, plan, values
from tests.sites import JITTER, Reply, Site, Visit, links, redirect

ALICE = Account(name="alice", user="alice", password="a")
BOB = Account(name="bob", user="bob", password="b")


class Members(Spider):
    """Log in; items name the account that fetched each page."""

    name = "members"
    site = ""

    def login(self, session: Any, account: Account) -> None:
        page = session.open(f"{self.site}/login/{account.user}")
        if page.status != 200:
            raise LoginError(f"{account.user} is locked out")

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url, "by": response.css("b::text").get()}
        yield from response.follow_all()


def member(visit: Visit) -> str | None:
    return visit.cookies.get("user")


def members_only(site: Site, *locked_out: str) -> None:
    """Six pages, each with links to two more; the first word names the account."""

    def login(visit: Visit) -> Reply:
        user = visit.path.rpartition("/")[2]
        if user in locked_out:
            return Reply("no", 403)
        return Reply("welcome", headers=(("Set-Cookie", f"user={user}; Path=/"),))

    def page(visit: Visit) -> Reply:
        user = member(visit)
        if user is None:
            return Reply("who?", 401)
        number = int(visit.path[1:])
        more = links(*(f"/{n}" for n in (2 * number, 2 * number + 1) if n < 40))
        return Reply(f"<b>{user}</b> {more}")

    site.otherwise = lambda visit: login(visit) if "/login/" in visit.path else page(visit)


def run_members(folder: Path, site: Site, *accounts: Account, **settings: Any) -> Any:
    seeds = (f"{site.url}/2", f"{site.url}/3")
    given = plan(Members, folder, *seeds, arguments={"site": site.url}, **settings)
    return run(replace(given, accounts=accounts))


def logins(site: Site) -> list[Visit]:
    return [visit for visit in site.log if "/login/" in visit.path]


def by(folder: Path) -> Counter[str]:
    return Counter(item["by"] for item in items(folder))


@pytest.mark.parametrize("workers", [0, 2])
def test_seeds_are_distributed_and_links_stay_with_their_account(
    tmp_path: Path, site: Site, workers: int
) -> None:
    members_only(site)
    assert run_members(tmp_path, site, ALICE, BOB, workers=workers).exit_status == 0
    found = items(tmp_path)
    assert values(found) == sorted(f"{site.url}/{n}" for n in range(2, 40))
    root = {2: "alice", 3: "bob"}
    for item in found:
        number = int(item["url"].rpartition("/")[2])
        while number > 3:
            number //= 2
        assert item["by"] == root[number]
    assert len(logins(site)) == 2


def test_an_account_that_cannot_log_in_does_not_hold_up_the_others(
    tmp_path: Path, site: Site
) -> None:
    members_only(site, "bob")
    summary = run_members(tmp_path, site, ALICE, BOB)
    assert summary.exit_status == 4
    assert "members as bob failed: bob is locked out" in summary.login_errors[0]
    assert set(by(tmp_path)) == {"alice"}
    members_only(site)
    assert run_members(tmp_path, site, ALICE, BOB).exit_status == 0
    assert values(items(tmp_path)) == sorted(f"{site.url}/{n}" for n in range(2, 40))


def test_a_resumed_job_is_still_logged_in_with_each_account(tmp_path: Path, site: Site) -> None:
    members_only(site)
    run_members(tmp_path, site, ALICE, BOB, max_pages=5)
    summary = run_members(tmp_path, site, ALICE, BOB)
    assert summary.exit_status == 0
    assert len(logins(site)) == 2
    assert summary.counters.logins == 2
    assert len(items(tmp_path)) == 38


def test_requests_of_an_account_that_is_gone_wait_for_it(tmp_path: Path, site: Site) -> None:
    members_only(site)
    run_members(tmp_path, site, ALICE, BOB, max_pages=4)
    summary = run_members(tmp_path, site, ALICE)
    assert summary.exit_status == 4
    assert "no account 'bob' any more" in summary.login_errors[0]
    assert summary.counters.pending > 0


class Travelling(Members):
    """Logs in at two hosts, and is redirected from one to the other."""

    name = "travelling"
    other = ""

    def login(self, session: Any, account: Account) -> None:
        session.open(f"{self.site}/login/{account.user}")
        session.open(f"{self.other}/login/{account.user}")


def test_a_request_that_begins_anew_behind_a_login_keeps_its_account(
    tmp_path: Path, site: Site, other: Site
) -> None:
    """The session ends behind a redirect, so the first hop is sent again, at its own host."""
    ended: list[str] = []

    def away(visit: Visit) -> Reply:
        if member(visit) is None:
            return Reply("", 302, (("Location", "/login/nobody"),))
        number = visit.path.rpartition("/")[2]
        return Reply("", 302, (("Location", f"{other.url}/there/{number}"),))

    def there(visit: Visit) -> Reply:
        if member(visit) is None or (visit.path == "/there/3" and not ended):
            ended.append(visit.path)
            return Reply("", 302, (("Location", f"{other.url}/login/nobody"),))
        return Reply(f"<b>{member(visit)}</b>")

    def login(visit: Visit) -> Reply:
        user = visit.path.rpartition("/")[2]
        if user == "nobody":
            return Reply("<form method=post><input type=password name=p></form>")
        return Reply("welcome", headers=(("Set-Cookie", f"user={user}; Path=/"),))

    for place, page in ((site, away), (other, there)):
        place.otherwise = lambda visit, page=page: (  # type: ignore[misc]
            login(visit) if "/login/" in visit.path else page(visit)
        )
    seeds = [f"{site.url}/{number}" for number in range(6)]
    arguments = {"site": site.url, "other": other.url}
    given = plan(Travelling, tmp_path, *seeds, arguments=arguments)
    summary = run(replace(given, accounts=(ALICE, BOB)))
    assert ended
    assert (summary.exit_status, summary.login_errors, failures(tmp_path)) == (0, [], {})
    assert summary.counters.pending == 0
    pages = {f"{other.url}/there/{number}" for number in range(6)}
    assert {item["url"] for item in items(tmp_path)} == pages
    assert {item["by"] for item in items(tmp_path)} == {"alice", "bob"}


def test_a_job_that_began_without_accounts_says_how_to_continue(tmp_path: Path, site: Site) -> None:
    class Own(Members):
        name = "own"

        def login(self, session: Any, account: Account | None = None) -> None:
            super().login(session, account or ALICE)

    members_only(site)
    given = plan(Own, tmp_path, f"{site.url}/2", arguments={"site": site.url}, max_pages=2)
    assert run(given).counters.pending > 0
    summary = run(replace(given, accounts=(ALICE,)))
    assert summary.exit_status == 4
    assert summary.login_errors == [
        "this job began without accounts: omit --accounts, or start again with --fresh"
    ]
    assert summary.counters.failed == 0


def test_requests_of_an_account_that_is_gone_move_if_the_spider_lets_them(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Members, "shares_requests", True)
    members_only(site)
    run_members(tmp_path, site, ALICE, BOB, max_pages=4)
    assert run_members(tmp_path, site, ALICE).exit_status == 0
    assert values(items(tmp_path)) == sorted(f"{site.url}/{n}" for n in range(2, 40))


def test_a_request_may_name_its_account(tmp_path: Path, site: Site) -> None:
    class Both(Members):
        name = "both"

        def start(self) -> Iterator[Request]:
            for account in ("alice", "bob"):
                yield Request(f"{self.site}/30", account=account)

    members_only(site)
    given = plan(Both, tmp_path, arguments={"site": site.url})
    run(replace(given, accounts=(ALICE, BOB)))
    assert by(tmp_path) == {"alice": 1, "bob": 1}


def test_a_request_for_an_account_that_there_is_not_is_an_error(tmp_path: Path, site: Site) -> None:
    class Wrong(Members):
        name = "wrong"

        def parse(self, response: Any) -> Iterator[Any]:
            yield response.follow("/4", account="carol")

    members_only(site)
    given = plan(Wrong, tmp_path, f"{site.url}/2", arguments={"site": site.url})
    run(replace(given, accounts=(ALICE, BOB)))
    assert failures(tmp_path) == {"/2": "SpiderError in parse()"}


def test_each_account_keeps_its_own_delay(tmp_path: Path, site: Site) -> None:
    members_only(site)
    slow = Account(name="bob", user="bob", password="b", delay=0.9)
    run_members(tmp_path, site, ALICE, slow, max_pages=23 + 3)  # all of alice's, who is quick
    asked = [visit.came for visit in site.log if member(visit) == "bob"]
    assert len(asked) >= 3
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert min(gaps) >= 0.9 - JITTER


def test_an_account_that_has_had_its_pages_waits_for_the_next_day(
    tmp_path: Path, site: Site
) -> None:
    members_only(site)
    few = Account(name="bob", user="bob", password="b", max_pages=3)
    stopped = crawl_until_quiet(tmp_path, site, few)
    assert stopped["bob"] == 3
    with closing(sqlite3.connect(tmp_path / "job.db")) as db:
        (next_at,) = db.execute("SELECT next_at FROM hosts WHERE account = 'bob'").fetchone()
    assert next_at > site.log[-1].came  # both a day from now and on another clock


def crawl_until_quiet(folder: Path, site: Site, few: Account) -> Counter[str]:
    """Run until alice, who may see every page, is finished, and a few steps longer."""
    given = plan(Members, folder, f"{site.url}/2", f"{site.url}/3", arguments={"site": site.url})
    given = replace(given, accounts=(ALICE, few))
    with Job(given) as job:
        steps = Engine(job).steps()
        turns_left = 4
        for _ in steps:
            turns_left -= sum(by(folder).values()) >= 23 + 3
            if not turns_left:
                break
        steps.close()
    return by(folder)


def test_crawl_refuses_a_login_that_wants_an_account_and_has_none(site: Site) -> None:
    with pytest.raises(AccountError, match=r"Members\.login wants an account"):
        list(crawl(Members, f"{site.url}/2", arguments={"site": site.url}))
    assert site.log == []


def test_crawl_takes_the_accounts_of_the_spider(site: Site) -> None:
    class Two(Members):
        name = "two"
        accounts = [ALICE, BOB]
        delay = 0.0

    members_only(site)
    found = list(crawl(Two, [f"{site.url}/2", f"{site.url}/3"], arguments={"site": site.url}))
    assert {item["by"] for item in found} == {"alice", "bob"}


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_each_callback_gets_the_page_that_two_accounts_find_for_two_callbacks(
    tmp_path: Path, site: Site, order: tuple[str, str]
) -> None:
    """Both find it in one commit, which keeps the first; then a redirect brings it to each."""

    class Shop(Members):
        def parse(self, response: Any) -> Iterator[Any]:
            number = int(response.url.rpartition("/")[2])
            yield response.follow("/goal", order[number])
            yield response.follow(f"/way-{number}", order[number], priority=-1)

        def one(self, response: Any) -> Any:
            return {"url": response.url, "by": "one"}

        def two(self, response: Any) -> Any:
            return {"url": response.url, "by": "two"}

    def page(visit: Visit) -> Reply | str:
        return redirect("/goal") if visit.path.startswith("/way-") else f"page {visit.path}"

    site.otherwise = lambda visit: (
        Reply("welcome", headers=(("Set-Cookie", "user=x; Path=/"),))
        if "/login/" in visit.path
        else page(visit)
    )
    seeds = (f"{site.url}/0", f"{site.url}/1")
    given = plan(Shop, tmp_path, *seeds, arguments={"site": site.url}, commit_interval=0.5)
    run(replace(given, accounts=(ALICE, BOB)))
    assert by(tmp_path) == {"one": 1, "two": 1}
    assert {item["url"] for item in items(tmp_path)} == {site.url + "/goal"}
    assert failures(tmp_path) == {}
