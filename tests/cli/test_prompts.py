"""Questions of a login wait until `crawl login` has answered them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from crawler.cli import main as cli
from tests.sites import PATIENCE, Reply, Site, Visit, links

SPIDER = """
    from crawler import LoginError, Spider

    class Bank(Spider):
        start_urls = ["URL/1", "URL/2"]

        def login(self, session, account=None):
            user = account.user if account else "ann"
            page = session.submit(session.open(f"URL/login?{user}").form(), user=user)
            if page.select_one("form"):
                form = page.form()
                page = session.submit(form, code=session.ask("code", hidden=HIDDEN))
            if error := page.select_one(".error"):
                raise LoginError(error.text)

        def parse(self, response):
            yield {"url": response.url, "by": response.css("b::text").get()}
            yield from response.follow_all()
"""

ACCOUNTS = """
    [ann]
    user = "ann"
    [bob]
    user = "bob"
"""
QUICK = ("-s", "workers=0", "-s", "delay=0", "-s", "retry_wait=0.01")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}


class Bank:
    """A site that sends ann a code by SMS when she logs in; bob needs none."""

    def __init__(self, site: Site) -> None:
        self.sent: list[str] = []
        self.site = site
        self.over: set[str] = set()
        site.otherwise = self.answer

    def answer(self, visit: Visit) -> Reply:
        user = visit.cookies.get("in", "")
        fields = {name: value for name, (value,) in parse_qs(visit.body.decode()).items()}
        if visit.path.startswith("/login"):
            return self.login(visit, fields)
        if visit.path == "/code":
            return self.check(visit, fields)
        if not user or user in self.over:
            return Reply("", 302, (("Location", "/login"),))
        number = int(visit.path[1:])
        return Reply(f"<b>{user}</b>{links(*(f'/{n}' for n in (number + 2,) if n < 20))}")

    def login(self, visit: Visit, fields: dict[str, str]) -> Reply:
        if visit.method == "GET":
            return Reply('<form method="post"><input name="user"></form>')
        if fields["user"] == "bob":
            return Reply("hello", headers=(("Set-Cookie", "in=bob; Path=/"),))
        self.sent.append(f"{7391 + len(self.sent)}")
        page = '<title>SMS</title><form action="/code" method="post"><input name="code"></form>'
        return Reply(page, headers=(("Set-Cookie", "half=ann; Path=/"),))

    def check(self, visit: Visit, fields: dict[str, str]) -> Reply:
        if fields["code"] != self.sent[-1]:
            return Reply('<p class="error">Wrong code</p>')
        self.over.discard("ann")
        return Reply("hello", headers=(("Set-Cookie", "in=ann; Path=/; Max-Age=9999"),))


@pytest.fixture
def bank(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.chdir(tmp_path)
    write_spider(site)
    Path("pyproject.toml").write_text("[tool.crawler]\ndelay = 0\n")  # `crawl login` keeps it too
    Path("accounts.toml").write_text(textwrap.dedent(ACCOUNTS))
    return Bank(site)


def write_spider(site: Site, *, hidden: bool = False) -> None:
    Path("spiders").mkdir(exist_ok=True)
    text = textwrap.dedent(SPIDER).replace("URL", site.url).replace("HIDDEN", str(hidden))
    Path("spiders/bank.py").write_text(text)


@dataclass(frozen=True)
class Ended:
    """The end of a command, and its output."""

    returncode: int
    stdout: str
    stderr: str


Crawl = Callable[..., Ended]


@pytest.fixture
def crawl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Crawl:
    """The command, in this process, with ``typed`` on its standard input."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def crawl(*words: str, typed: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return Ended(cli.execute(words), *capsys.readouterr())

    return crawl


def items() -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in Path("data/jobs/bank/items.jsonl").read_text().split("\n")
        if line
    ]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("key", ["", "a key"])
def test_a_code_is_waited_for_and_answered_later(
    crawl: Crawl, bank: Bank, workers: int, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key:
        monkeypatch.setenv("CRAWL_KEY", key)
    options = ("-s", f"workers={workers}", *QUICK[2:])
    run = crawl("run", "bank", *options)
    assert run.returncode == 4, run.stderr
    url = re.escape(bank.site.url)
    assert re.match(
        "crawl: bank could not log in: login of bank needs code "
        rf"\(at {url}/login\?ann, status 200, 'SMS', saved as \S+login-account.html\): "
        "run crawl login bank; "
        "2 pending, for the next run\n",
        run.stderr,
    ), run.stderr
    assert len(bank.sent) == 1
    visits = len(bank.site.visits())
    answer = "run crawl login spiders/bank.py:Bank --job data/jobs/bank\n"
    assert f"  ended      its account needs code: {answer}" in crawl("status").stdout
    found = json.loads(crawl("status", "--json").stdout)
    assert (found["reason"], found["waiting"]) == ("login", {"": "code"})
    if key:
        monkeypatch.delenv("CRAWL_KEY")
        assert "  ended      a login failed; " in crawl("status").stdout
        monkeypatch.setenv("CRAWL_KEY", key)

    again = crawl("run", "bank", *options)
    assert again.returncode == 4
    assert "login of bank needs code: run crawl login bank" in again.stderr
    assert len(bank.site.visits()) == visits, "the site was asked again"

    login = crawl("login", "bank", typed="7392\n")
    assert (login.returncode, login.stdout) == (0, "")
    assert (
        login.stderr == "code: \ncrawl: bank is logged in; crawl run continues with this session\n"
    )
    assert items() == []

    assert crawl("run", "bank", *options).returncode == 0
    assert len(items()) == 19
    assert len(bank.sent) == 2


def test_others_are_crawled_first(crawl: Crawl, bank: Bank) -> None:
    run = crawl("run", "bank", "--accounts", "accounts.toml", *QUICK)
    assert run.returncode == 4
    assert "login of bank as ann needs code" in run.stderr
    assert "run crawl login bank --account ann;" in run.stderr
    assert {item["by"] for item in items()} == {"bob"}
    assert len(items()) == 9
    # The accounts file is that of the run.
    assert crawl("login", "bank", "--account", "ann", typed="7392\n").returncode == 0
    assert crawl("run", "bank", "--accounts", "accounts.toml", *QUICK).returncode == 0
    assert sorted({item["by"] for item in items()}) == ["ann", "bob"]
    assert len(bank.sent) == 2


def test_a_session_that_ends_waits_too(crawl: Crawl, bank: Bank) -> None:
    assert crawl("login", "bank", typed="7391\n").returncode == 0
    assert crawl("run", "bank", "-s", "max_pages=5", *QUICK).returncode == 0
    bank.over.add("ann")
    assert crawl("run", "bank", *QUICK).returncode == 4
    assert crawl("run", "bank", *QUICK).returncode == 4
    assert len(bank.sent) == 2
    assert crawl("login", "bank", typed="7393\n").returncode == 0
    assert crawl("run", "bank", *QUICK).returncode == 0
    assert len(items()) == 19


def test_a_login_before_the_first_run(crawl: Crawl, bank: Bank) -> None:
    assert crawl("login", "bank", typed="7391\n").returncode == 0
    assert crawl("run", "bank", *QUICK).returncode == 0
    assert len(bank.sent) == 1
    assert len(items()) == 19


def test_a_wrong_code_changes_nothing(crawl: Crawl, bank: Bank) -> None:
    crawl("run", "bank", *QUICK)
    login = crawl("login", "bank", typed="0000\n")
    assert login.returncode == 4
    assert re.search(r"crawl: login of bank failed: Wrong code \(at \S+/code", login.stderr)
    run = crawl("run", "bank", *QUICK)
    assert run.returncode == 4
    assert "needs code" in run.stderr
    assert len(bank.sent) == 2


def test_a_prompt_without_an_answer_times_out(crawl: Crawl, bank: Bank) -> None:
    login = crawl("login", "bank", typed="\n")
    assert login.returncode == 4
    assert "crawl: login of bank needs code (at" in login.stderr


def test_a_hidden_answer_is_not_shown_at_the_terminal(bank: Bank) -> None:
    write_spider(bank.site, hidden=True)
    said = at_terminal("7391", "login", "bank")
    assert "code: " in said
    assert "7391" not in said
    assert "bank is logged in" in said
    for path in Path("data/jobs/bank").rglob("*"):
        assert path.is_dir() or b"7391" not in path.read_bytes(), path


def test_an_answer_at_the_terminal(bank: Bank) -> None:
    said = at_terminal("7391", "login", "bank")
    assert re.search(r"code: 7391\s+crawl: bank is logged in", said)


def at_terminal(typed: str, *words: str) -> str:
    """Return the output of a command on its own terminal, where ``typed`` answers its question."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crawler", *words],
        stdin=its,
        stdout=its,
        stderr=its,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    os.close(its)
    said = b""
    try:
        while b": " not in said:
            said += os.read(ours, 1000)
        os.write(ours, typed.encode() + b"\n")
        while True:
            try:
                said += os.read(ours, 1000)
            except OSError:  # it has ended
                break
        assert process.wait(PATIENCE) == 0, said
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said.decode()


def test_a_captcha_is_answered_like_a_code(crawl: Crawl, site: Site, bank: Bank) -> None:
    spider = Path("spiders/bank.py")
    text = spider.read_text().replace('"code",', '"the letters in the picture",')
    spider.write_text(text)
    run = crawl("run", "bank", *QUICK)
    assert run.returncode == 4
    assert "login of bank needs the letters in the picture (at" in run.stderr


def test_a_job_elsewhere_is_named(crawl: Crawl, bank: Bank, tmp_path: Path) -> None:
    run = crawl("run", "spiders/bank.py", "--job", "my job", *QUICK)
    assert "run crawl login bank --job 'my job';" in run.stderr


def test_crawl_raises_after_all_else(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "from crawler import LoginError, crawl\nfrom spiders.bank import Bank\n"
        "try:\n    list(crawl(Bank, delay=0))\nexcept LoginError as error:\n    print(error)\n"
    )
    Path("script.py").write_text(script)
    ran = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}."},
        timeout=PATIENCE,
        check=True,
    )
    assert "login of bank needs code" in ran.stdout
