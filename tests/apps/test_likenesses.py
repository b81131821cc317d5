"""The spiders of docs/applications.md, on likenesses of the applications, and on two real ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.apps import likenesses
from tests.apps.applications import (
    DJANGO,
    TOKENS,
    Application,
    Kind,
    NotInstalledError,
    environment,
)
from tests.apps.likenesses import Likeness, SingleSignOn
from tests.apps.member_site import MEMBER, PAGES, fact, page_name
from tests.apps.visitors import PASSWORD, USER
from tests.apps.watched import source_of
from tests.commands import Command
from tests.jobs import items, rows

if sys.platform == "win32":
    pytest.skip("process groups are killed", allow_module_level=True)

FACT = re.compile(r"Fact \d+: .*? \d+\.")
KINDS: dict[str, tuple[Callable[[int], Likeness], str, str]] = {
    "MediaWiki": (likenesses.MediaWiki, "https://wiki.example", "WIKI"),
    "WordPress": (likenesses.WordPress, "https://blog.example", "BLOG"),
    "Redmine": (likenesses.Redmine, "https://redmine.example", "REDMINE"),
    "PhpBB": (likenesses.PhpBB, "https://forum.example", "FORUM"),
    "SignOn": (SingleSignOn, "https://app.example", "APP"),
}
"""Each likeness, with the address and the variables of its spider."""

KNOWN: dict[tuple[str, str], str] = {}
"""The only place that expects a failure: the spider, the test, and why."""


def each_spider(test: str) -> pytest.MarkDecorator:
    """Return the parameter ``name``, expected to fail where KNOWN says so."""
    parameters = []
    for name in KINDS:
        reason = KNOWN.get((name, test))
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        parameters.append(pytest.param(name, marks=marks))
    return pytest.mark.parametrize("name", parameters)


def crawl(name: str, folder: Path, url: str, account: dict[str, str], address: str) -> Command:
    """Run a spider of the docs at the address of a server that is here."""
    file = folder / f"{name.lower()}.py"
    file.write_text(source_of(name).replace(address, url))
    command = Command(
        f"{file}:{name}",
        folder / "job",
        concurrency_per_host=4,
        environment=account,
        allow_private=name == "SignOn",  # its provider is at another address of loopback
        delay=0,
        retry_wait=0.05,
        commit_interval=0.02,
    )
    try:
        command.wait()
    finally:
        command.kill()
    return command


def check(name: str, folder: Path, likeness: Likeness) -> None:
    """Crawl a likeness: each page is an item, the closed page fails, and nothing else does."""
    _, address, variable = KINDS[name]
    account = {f"{variable}_USER": MEMBER, f"{variable}_PASSWORD": PASSWORD}
    last = crawl(name, folder, likeness.url, account, address)
    assert last.process.returncode == 0, last.said
    pages = items(folder / "job")
    texts = sorted((page["page"].lower(), *FACT.findall(page["text"])) for page in pages)
    assert texts == [(page_name(number), fact(number)) for number in range(PAGES)], last.said
    failures = [url for (url,) in rows(folder / "job", "SELECT url FROM failed")]
    assert failures == likeness.closed()


@each_spider("exact")
def test_a_likeness_is_crawled_whole_with_one_login(name: str, tmp_path: Path) -> None:
    with KINDS[name][0](0) as likeness:
        check(name, tmp_path, likeness)
        assert likeness.logins == 1


@each_spider("ended")
def test_a_session_that_ends_costs_one_login(name: str, tmp_path: Path) -> None:
    with KINDS[name][0](10) as likeness:
        check(name, tmp_path, likeness)
        assert likeness.logins == 2
        if isinstance(likeness, SingleSignOn):
            assert likeness.provider.logins <= 2


@pytest.mark.parametrize(
    ("name", "kind", "address"),
    [("Admin", DJANGO, "https://django.example"), ("Api", TOKENS, "https://api.example")],
    ids=["Admin", "Api"],
)
def test_the_admin_and_the_api_are_crawled_whole(
    tmp_path: Path, name: str, kind: Kind, address: str
) -> None:
    try:
        python = environment()
    except NotInstalledError as error:
        pytest.skip(f"the applications cannot be installed: {error}")
    account = {"APP_USER": USER, "APP_PASSWORD": PASSWORD}
    with Application(kind, python, tmp_path / "app") as app:
        last = crawl(name, tmp_path, app.url, account, address)
        assert last.process.returncode == 0, last.said
        books = [
            {"title": book["title"], "cents": int(book["cents"])}
            for book in app.expected()
            if "title" in book
        ]
        assert by_title(items(tmp_path / "job")) == by_title(books)
        assert len(app.logins) == 1


def by_title(books: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return books in the order of their titles."""
    return sorted(books, key=lambda book: str(book["title"]))
