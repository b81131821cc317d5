"""The sessions of a job: shown, taken from a browser, taken out, forgotten."""

from __future__ import annotations

import json
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crawler.cli import main as cli
from crawler.cli.configure import for_login
from crawler.job.job import Job
from crawler.records import Cookie
from crawler.session.cookie_files import as_json, netscape, read
from crawler.session.masking import Mask
from tests.sites import Reply, Site, Visit, links

QUICK = ("-s", "workers=0", "-s", "delay=0", "-s", "retry_wait=0.01")
SPIDER = """
from crawler import LoginError, Spider

class Club(Spider):
    start_urls = ["URL/1", "URL/2"]

    def login(self, session, account=None):
        user = account.user if account else "ann"
        if session.open(f"URL/login/{user}").status != 200:
            raise LoginError("not today")

    def parse(self, response):
        yield {"by": response.css("b::text").get()}

class Guest(Spider):
    start_urls = ["URL/1"]

    def parse(self, response):
        yield {"by": response.css("b::text").get()}
"""
ACCOUNTS = '[ann]\nuser = "ann"\n[bob]\nuser = "bob"\n'
SECRET = "s3cr3t-"


@pytest.fixture(params=["", "a key"], ids=["plain", "encrypted"])
def club(
    request: pytest.FixtureRequest, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A site for members, in a project of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if request.param:
        monkeypatch.setenv("CRAWL_KEY", request.param)
    Path("spiders").mkdir()
    Path("spiders/club.py").write_text(SPIDER.replace("URL", site.url))
    Path("accounts.toml").write_text(ACCOUNTS)

    def answer(visit: Visit) -> Reply:
        if visit.path.startswith("/login/"):
            user = visit.path.rpartition("/")[2]
            cookie = f"in={SECRET}{user}; Path=/; Max-Age=5000; HttpOnly"
            return Reply("hello", headers=(("Set-Cookie", cookie),))
        user = visit.cookies.get("in", "").removeprefix(SECRET)
        return Reply(f"<b>{user}</b>{links()}") if user else Reply("who?", 401)

    site.otherwise = answer
    return site


@pytest.fixture
def crawl(capsys: pytest.CaptureFixture[str]) -> Any:
    def crawl(*words: str, status: int = 0) -> str:
        ended = cli.execute(words)
        out, err = capsys.readouterr()
        assert ended == status, err
        assert SECRET not in out + err
        return str(out + err)

    return crawl


def logins(site: Site) -> int:
    return len([visit for visit in site.visits() if visit.path.startswith("/login/")])


def browser(site: Site, **changed: Any) -> Cookie:
    return Cookie(
        **{"name": "in", "value": f"{SECRET}eve", "domain": "127.0.0.1", "path": "/"} | changed
    )


def by() -> set[str]:
    text = Path("data/jobs/club/items.jsonl").read_text()
    return {json.loads(line)["by"] for line in text.splitlines()}


def test_sessions_are_shown_without_their_cookies(club: Site, crawl: Any) -> None:
    crawl("run", "club", "--accounts", "accounts.toml", *QUICK)
    header, ann, bob = crawl("sessions", "club").splitlines()
    assert header.split("  ")[0] == "session"
    host = club.url.removeprefix("http://")
    for name, line in (("ann", ann), ("bob", bob)):
        assert line.split()[:2] == [name, host]
        assert line.split()[-3:] == ["1", "1", "-"]
    found = json.loads(crawl("sessions", "--json", "--account", "bob"))
    assert [one["session"] for one in found] == ["account:bob"]
    (one,) = found
    assert one["account"] == "bob"
    assert (one["hosts"], one["cookies"], one["pages"], one["logins"]) == ([host], 1, 1, 1)
    assert one["logged_in"] < one["first_expiry"]
    assert (one["logged_out"], one["waiting"]) == (None, None)
    assert "no session of 'carol' (there are ann, bob)" in crawl(
        "sessions", "--account", "carol", status=2
    )


def test_a_login_by_hand_needs_no_other(club: Site, crawl: Any) -> None:
    assert "club is logged in" in crawl("login", "club", "-s", "delay=0")
    (one,) = json.loads(crawl("sessions", "club", "--json"))
    assert (one["session"], one["account"], one["hosts"]) == ("account", None, ["127.0.0.1"])
    assert (one["logins"], one["pages"]) == (1, 0)
    assert club.visits("/1") == []
    crawl("run", "club", *QUICK)
    assert logins(club) == 1
    assert by() == {"ann"}


def test_which_account_must_be_said(club: Site, crawl: Any) -> None:
    given = ("login", "club", "--accounts", "accounts.toml", "-s", "delay=0")
    assert "choose one with --account (ann, bob)" in crawl(*given, status=2)
    assert "no account 'eve' (there are ann, bob)" in crawl(*given, "--account", "eve", status=2)
    assert "and no others: give --accounts FILE" in crawl(
        "login", "club", "--account", "eve", status=2
    )
    assert "club as bob is logged in" in crawl(*given, "--account", "bob")


def test_a_spider_without_a_login(club: Site, crawl: Any) -> None:
    said = crawl("login", "guest", status=2)
    assert "guest has no login(self, session)" in said
    assert "--import-cookies" in said


def test_a_manual_login_is_refused_while_the_job_runs(club: Site, crawl: Any) -> None:
    plan = for_login("club", mask=Mask())
    with Job(plan):
        assert "is being run by" in crawl("login", "club", status=2)
        assert "is being run by" in crawl("logout", "club", status=2)
    assert logins(club) == 0


@pytest.mark.parametrize("form", [netscape, as_json])
def test_a_browser_s_cookies_are_a_login(club: Site, crawl: Any, form: Any) -> None:
    old = browser(club, name="old", expires=time.time() - 5)
    Path("cookies").write_text(form([browser(club), old]))
    said = crawl("login", "club", "--import-cookies", "cookies")
    assert "crawl: club has 1 cookie of cookies\n" in said
    assert "without is_logged_out() in the spider" in said
    crawl("run", "club", *QUICK)
    assert logins(club) == 0
    assert by() == {"eve"}


def test_a_browser_s_cookies_for_a_spider_without_a_login(club: Site, crawl: Any) -> None:
    other = browser(club, domain=".shop.example", host_only=False)
    Path("cookies.txt").write_text(netscape([browser(club), other]))
    assert "guest has 2 cookies" in crawl("login", "guest", "--import-cookies", "cookies.txt")
    found = json.loads(crawl("sessions", "guest", "--json"))
    assert [one["session"] for one in found] == ["site:127.0.0.1", "site:shop.example"]
    crawl("run", "guest", *QUICK)
    assert json.loads(Path("data/jobs/guest/items.jsonl").read_text()) == {"by": "eve"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot read cookies.txt: No such file"),
        ("nothing", "cookies.txt:1 is not a cookie"),
        ("a.example\tFALSE\t/\tFALSE\t5\ta\tb", "all of the cookies have expired"),
    ],
)
def test_a_file_that_cannot_be_used(club: Site, crawl: Any, text: str | None, why: str) -> None:
    if text is not None:
        Path("cookies.txt").write_text(text)
    assert why in crawl("login", "club", "--import-cookies", "cookies.txt", status=2)
    assert not Path("data/jobs/club/job.db").exists()


@pytest.mark.parametrize("name", ["out.txt", "out.json"])
def test_cookies_are_exported_for_their_owner_only(club: Site, crawl: Any, name: str) -> None:
    crawl("login", "club", "-s", "delay=0")
    path = Path(name)
    path.write_text("what was there before")
    path.chmod(0o644)
    assert f"crawl: 1 cookie in {name}\n" in crawl("sessions", "club", "--export", name)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (cookie,) = read(path.read_text(), name)
    assert (cookie.value, cookie.http_only) == (f"{SECRET}ann", True)
    assert [one.name for one in Path().iterdir() if one.name.startswith(".cookies")] == []
    crawl("login", "club", "--job", "second", "--import-cookies", name)


def test_an_export_names_the_account_if_there_are_several(club: Site, crawl: Any) -> None:
    crawl("run", "club", "--accounts", "accounts.toml", *QUICK)
    said = crawl("sessions", "--export", "out.txt", status=2)
    assert "choose one with --account (ann, bob)" in said
    assert not Path("out.txt").exists()
    crawl("sessions", "--export", "out.txt", "--account", "bob")
    assert f"{SECRET}bob" in Path("out.txt").read_text()
    assert "is not a file that" in crawl(
        "sessions", "--export", "spiders", "--account", "bob", status=2
    )
    assert "cannot write" in crawl("sessions", "--export", "no/x", "--account", "bob", status=2)


def test_logging_out_forgets(club: Site, crawl: Any) -> None:
    crawl("run", "club", "--accounts", "accounts.toml", "-s", "max_pages=1", *QUICK)
    crawl("login", "club", "--account", "ann", "-s", "delay=0")
    crawl("login", "club", "--account", "bob", "-s", "delay=0")
    before = logins(club)
    assert "has forgotten the session of bob" in crawl("logout", "club", "--account", "bob")
    ann, bob = json.loads(crawl("sessions", "club", "--json"))
    assert ann["cookies"] == 1
    assert (bob["cookies"], bob["logged_in"], bob["logins"]) == (0, None, bob["logins"])
    assert "of ann, bob" in crawl("logout", "club")
    crawl("run", "club", "--accounts", "accounts.toml", *QUICK)
    assert logins(club) == before + 1, "who still has a page to ask for logs in, and nobody else"


def test_a_job_without_sessions(club: Site, crawl: Any) -> None:
    plan = for_login("club", mask=Mask())
    Job(plan).close()
    assert crawl("sessions", "club") == "data/jobs/club has no sessions\n"
    assert crawl("sessions", "club", "--json") == "[]\n"
    assert "has forgotten the session of no account" in crawl("logout", "club")


@pytest.mark.parametrize("club", ["a key"], indirect=True)
def test_with_another_key_nothing_is_shown(
    club: Site, crawl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl("login", "club", "-s", "delay=0")
    monkeypatch.setenv("CRAWL_KEY", "another")
    assert "CRAWL_KEY is not the key" in crawl("sessions", "club", status=2)
    monkeypatch.delenv("CRAWL_KEY")
    assert "has encrypted sessions: set CRAWL_KEY" in crawl("sessions", "club", status=2)
