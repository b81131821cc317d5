"""Applications behind a member's login: crawled whole, and unchanged by it."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.request import unpacked
from crawler.session.login_progress import first_url
from tests.apps import watched
from tests.apps.applications import NotInstalledError
from tests.apps.dokuwiki import DokuWiki
from tests.apps.fossil import Fossil
from tests.apps.member_site import MemberSite, State
from tests.apps.python_sites import Roundup, Trac, Wagtail
from tests.commands import Command
from tests.jobs import items, rows
from tests.sites import PATIENCE

if sys.platform != "linux":
    pytest.skip("the programs are Debian's", allow_module_level=True)

SITES: list[type[MemberSite]] = [Fossil, DokuWiki, Trac, Roundup, Wagtail]
FACT = re.compile(r"Fact \d+: .*? \d+\.")
KILLS = "4 8 13 18 22"
ENDS = "6 16"
"""Pages at which sessions end, in a crawl that is killed as well."""
FOLLOWED = int(os.environ.get("FOLLOWED_PAGES", "200"))
"""The pages of a crawl that follows everything; ``make applications`` lets it follow many more."""

QUICK: dict[str, Any] = {"delay": 0, "retry_wait": 0.05, "commit_interval": 0.02}

KNOWN: dict[tuple[str, str], str] = {}
"""The only place that expects a failure: the application, the test, and why.

A reason that begins with a question mark is of a test that fails on some runs only.
"""


def each_site(test: str) -> pytest.MarkDecorator:
    """Return the parameter ``site``: each application, expected to fail where KNOWN says so."""
    parameters = []
    for kind in SITES:
        reason = KNOWN.get((kind.spider, test), "")
        strict = not reason.startswith("?")
        fault = pytest.mark.xfail(strict=strict, raises=AssertionError, reason=reason)
        marks = [fault] if reason else []
        parameters.append(pytest.param(kind, id=kind.spider, marks=marks))
    return pytest.mark.parametrize("site", parameters, indirect=True)


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MemberSite]:
    """An application that all tests of this module share: none of them may change it."""
    kind: type[MemberSite] = request.param
    running = kind(tmp_path_factory.mktemp(kind.spider.lower()) / "app")
    try:
        running.__enter__()
    except NotInstalledError as error:
        pytest.skip(f"{kind.spider} cannot be installed: {error}")
    yield running
    running.__exit__()


class Crawl:
    """A crawl of an application, by a spider of the file that ``watched`` writes."""

    def __init__(self, site: MemberSite, folder: Path, spider: str, **settings: Any) -> None:
        self.site, self.spider = site, spider
        self.job = folder / "job"
        self.file = watched.write(site, folder)
        self.settings: dict[str, Any] = {
            "delay": 0,
            "retry_wait": 0.05,
            "commit_interval": 0.02,
            **settings,
        }
        self.marks = ""
        self.may_act = False
        self.state = site.state()
        self._logins = site.logins

    def run(self) -> Command:
        """Run the command to its end."""
        command = Command(
            f"{self.file}:{self.spider}",
            self.job,
            workers=2,
            concurrency_per_host=4,
            environment={
                **self.site.credentials,
                "JOB": str(self.job),
                "MARKS": self.marks,
                "ENDS": ENDS,
            },
            **self.settings,
        )
        try:
            command.process.wait(PATIENCE * (2 + FOLLOWED / 100))
        finally:
            command.kill()
        if (changed := changes(self.state, self.site.state())) and not self.may_act:
            pytest.fail(f"the crawl has changed {changed}")  # also where a test's fault is known
        return command

    @property
    def logins(self) -> int:
        """The number of this crawl's logins."""
        return self.site.logins - self._logins

    def check_whole(self, last: Command) -> None:
        """The output is the application's content: each item once, and nothing else."""
        assert last.process.returncode == 0, last.said
        assert facts(items(self.job)) == self.site.facts(), last.said
        failed = [unpacked(data) for (data,) in rows(self.job, "SELECT request FROM failed")]
        failures = {first_url(request) for request in failed}
        assert len(failures) == len(failed)
        closed = set(self.site.closed())
        assert failures == closed if self.site.closed_pages_fail else failures <= closed, last.said
        assert rows(self.job, "SELECT count(*) FROM pending") == [(0,)]


def facts(pages: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """Return the name of each page, and all facts of its text."""
    return sorted((page["page"], *FACT.findall(page["text"])) for page in pages)


def changes(before: State, after: State) -> dict[str, set[str]]:
    """Return what is in one of two states alone, by table or file."""
    names = sorted(before.keys() | after.keys())
    both = ((name, before.get(name, []), after.get(name, [])) for name in names)
    return {name: {*old} ^ {*new} or {*new} for name, old, new in both if old != new}


@each_site("exact")
def test_the_output_is_what_the_application_has(site: MemberSite, tmp_path: Path) -> None:
    crawl = Crawl(site, tmp_path, site.spider)
    crawl.check_whole(crawl.run())
    assert crawl.logins == 1


@each_site("default")
def test_the_default_knows_members_from_strangers(site: MemberSite, tmp_path: Path) -> None:
    crawl = Crawl(site, tmp_path, "Default")
    crawl.check_whole(crawl.run())
    assert crawl.logins == 1


@each_site("checked")
def test_a_check_of_the_spiders_own_knows_members_from_strangers(
    site: MemberSite, tmp_path: Path
) -> None:
    crawl = Crawl(site, tmp_path, "Checked")
    crawl.check_whole(crawl.run())
    assert crawl.logins == 1


@pytest.mark.thorough  # a part of "killed and ended"
@each_site("ended")
def test_a_session_that_ends_costs_one_login(site: MemberSite, tmp_path: Path) -> None:
    crawl = Crawl(site, tmp_path, "Ended")
    crawl.marks = "10"
    crawl.check_whole(crawl.run())
    assert crawl.logins == 2


@pytest.mark.thorough  # a part of "killed and ended"
@each_site("killed")
def test_killed_five_times_and_logged_in_once(site: MemberSite, tmp_path: Path) -> None:
    crawl = Crawl(site, tmp_path, "Killed")
    crawl.marks = KILLS
    for _ in KILLS.split():
        command = crawl.run()
        assert command.process.returncode == -signal.SIGKILL, command.said
    crawl.check_whole(crawl.run())
    assert crawl.logins == 1


@each_site("killed and ended")
def test_killed_five_times_while_sessions_end_too(site: MemberSite, tmp_path: Path) -> None:
    crawl = Crawl(site, tmp_path, "KilledAndEnded")
    kills, ends = KILLS.split(), ENDS.split()
    crawl.marks = " ".join(sorted(kills + ends, key=int))
    for _ in kills:
        command = crawl.run()
        assert command.process.returncode == -signal.SIGKILL, command.said
    crawl.check_whole(crawl.run())
    assert all(crawl.job.with_suffix(f".{mark}").exists() for mark in ends)
    assert 1 < crawl.logins <= 1 + len(ends) + len(kills)


@each_site("everything")
def test_a_crawl_that_follows_everything_changes_nothing(site: MemberSite, tmp_path: Path) -> None:
    crawl = Crawl(site, tmp_path, "Everything", max_pages=FOLLOWED)
    last = crawl.run()
    assert last.process.returncode == 0, last.said
    pages = items(crawl.job)
    assert {page["url"] for page in pages} >= set(site.pages())
    unmarked = [page["url"] for page in pages if page["html"] and not page["member"]]
    assert [url for url in unmarked if not re.search(site.unmarked, url)] == []
    assert crawl.logins == 1


def test_the_same_crawl_changes_pages_where_links_that_act_are_followed(tmp_path: Path) -> None:
    """The comparison notices it: the links are there, and they act."""
    try:
        running = DokuWiki(tmp_path / "app")
        running.__enter__()
    except NotInstalledError as error:
        pytest.skip(f"DokuWiki cannot be installed: {error}")
    try:
        crawl = Crawl(running, tmp_path, "Acting", max_pages=400)
        crawl.may_act = True
        last = crawl.run()
        assert last.process.returncode == 0, last.said
        assert any("/pages/" in name for name in changes(crawl.state, running.state()))
    finally:
        running.__exit__()
