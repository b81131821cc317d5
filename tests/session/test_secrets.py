"""Secrets stay secret: after real crawls nothing that they left behind has the password in it."""

from __future__ import annotations

import contextlib
import html
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crawler.cli import main as cli
from crawler.demo.server import DemoServer
from crawler.demo.shop import Shop
from crawler.demo.site import Answer, Ask
from crawler.session.masking import MASK
from tests.commands import wait_until_gone
from tests.conftest import wait_until
from tests.secret import PASSWORD, SPELLINGS
from tests.sites import PATIENCE

KEY = "a key that nobody knows"

ORDERS = """
    import logging
    import os

    from crawler import Spider


    class Orders(Spider):
        start_urls = ["{url}/orders", "{url}/missing"]
        delay = 0
        retries = 1
        commit_interval = 0.01

        @property
        def password(self):
            return os.environ["SHOP_PASSWORD"]

        def login(self, session, account=None):
            password = account.password if account else os.environ["SHOP_PASSWORD"]
            form = session.open("{url}/login").form("#login")
            page = session.submit(form, user="reader", password=password)
            logging.getLogger("crawler.orders").warning("%s and %r", password, {{"p": password}})
            if "Wrong" in page.text:
                raise {error}(f"{{password}} is wrong, and {{password!r}} too")

        def parse(self, response):
            if response.url.endswith("/1007"):
                raise ValueError(f"no order for {{self.password}}")
            if response.url.endswith("/1008"):
                raise KeyError(self.password)
            yield {{"url": response.url, "order": response.url.rpartition("/")[2]}}
            yield from response.follow_all("main a")
            logging.getLogger("crawler.orders").info("seen with %s", self.password)

        def failed(self, failure):
            raise RuntimeError(self.password)
"""
ACCOUNTS = """
    [alice]
    user = "reader"
    password = { env = "ALICE_PASSWORD" }
"""


@dataclass(frozen=True)
class Ended:
    """The output of a command."""

    status: int
    said: str


Command = Callable[..., Ended]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRAWL_KEY", raising=False)
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    monkeypatch.setenv("ALICE_PASSWORD", PASSWORD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    (tmp_path / "accounts.toml").write_text(textwrap.dedent(ACCOUNTS))
    return tmp_path


def echo(ask: Ask) -> Answer | None:
    """The worst case: the page of a failed login shows the typed password."""
    if (ask.method, ask.path) != ("POST", "/login") or ask.form["password"] == "demo":
        return None
    typed = html.escape(ask.form["password"])
    return Answer(body=f"<title>{typed}</title>Wrong: {typed}", status=401)


@pytest.fixture
def shop() -> Iterator[DemoServer]:
    shop = Shop(seed=7, books=4, orders=12)
    shop.password = PASSWORD
    with DemoServer(shop) as server:
        yield server


@pytest.fixture
def strict_shop() -> Iterator[DemoServer]:
    with DemoServer(Shop(seed=7, books=4, orders=12), instead=echo) as server:
        yield server


def write(url: str, text: str = ORDERS, error: str = "ValueError") -> None:
    path = Path("spiders/orders.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text.format(url=url, error=error)))


def command(*words: str) -> Ended:
    """The command, in a process of its own, with all that it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "crawler", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode())


def left_behind() -> dict[str, bytes]:
    """Every file of the job."""
    files = [path for path in Path("data").rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def asked_about() -> str:
    """Return the output of every command that shows the job."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for options in ([], ["--json"], ["--failed"], ["--failed", "--json"]):
            assert cli.execute(["status", *options]) == 0
    return said.getvalue()


def leaks(*said: str) -> dict[str, str]:
    """Return the places with the password, in whatever form."""
    texts = left_behind()
    texts["said"] = "".join([*said, asked_about()]).encode()
    assert any(name.endswith("job.db") for name in texts)
    return {
        name: form for name, data in texts.items() for form in SPELLINGS if form.encode() in data
    }


# Real crawls


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("accounts", [[], ["--accounts", "accounts.toml"]])
def test_a_crawl_whose_callbacks_tell_the_password(
    shop: DemoServer, workers: int, accounts: list[str]
) -> None:
    write(shop.url)
    ended = command("run", "orders", "-s", f"workers={workers}", *accounts)
    assert ended.status == 0, ended.said
    assert shop.counters.logins == 1
    assert leaks(ended.said) == {}
    log = Path("data/jobs/orders/run.log").read_text()
    assert f"WARNING {'MainProcess' if not workers else 'fetcher'}" in log
    assert f"{MASK} and {{'p': '{MASK}'}}" in log
    assert f"RuntimeError: {MASK}" in log
    if shop.shop.order("1007"):
        assert f"no order for {MASK}" in command("status", "--failed").said


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", ["ValueError", "LoginError"])
def test_a_login_that_fails(strict_shop: DemoServer, workers: int, error: str) -> None:
    text = ORDERS.replace("import Spider", "import LoginError, Spider")
    write(strict_shop.url, text, error)
    ended = command("run", "orders", "-s", f"workers={workers}", "-s", "obey_robots=false")
    assert ended.status == 4, ended.said
    assert f"{MASK} is wrong, and '{MASK}' too" in ended.said
    (page,) = Path("data/jobs/orders/pages").iterdir()
    assert f"Wrong: {MASK}" in page.read_text()
    assert leaks(ended.said) == {}


def test_a_password_that_is_gone_is_one_sentence(shop: DemoServer) -> None:
    write(shop.url)
    path = Path("alice.secret")
    path.write_text(PASSWORD)
    path.chmod(0o600)
    Path("accounts.toml").write_text("[alice]\npassword = { file = 'alice.secret' }")
    gone = "password = (os.unlink('alice.secret'), account.password)[1]"
    text = ORDERS.replace("password = account.password if account else", f"{gone} if account else")
    write(shop.url, text)
    ended = command("run", "orders", "-s", "workers=1", "--accounts", "accounts.toml")
    assert ended.status == 4
    assert "login of orders as alice failed: the password of account alice cannot" in ended.said
    assert leaks(ended.said) == {}


def test_a_killed_crawl(shop: DemoServer) -> None:
    write(shop.url)
    words = ["run", "orders", "-s", "workers=1", "-s", "delay=0.2", "--accounts", "accounts.toml"]
    with Path("said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "crawler", *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        items = Path("data/jobs/orders/items.jsonl")
        wait_until(lambda: items.exists() and items.stat().st_size > 0, "there was no item")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        wait_until_gone([process.pid])
    assert Path("data/jobs/orders/job.db-wal").stat().st_size
    assert leaks(Path("said.txt").read_text()) == {}


@pytest.mark.parametrize("where", ["start", "__init__"])
def test_a_spider_that_cannot_begin(shop: DemoServer, where: str) -> None:
    body = f"""
        def {where}(self):
            raise ValueError(f"{{{{os.environ['SHOP_PASSWORD']}}}}")
    """
    write(shop.url, ORDERS + textwrap.indent(textwrap.dedent(body), " " * 8))
    ended = command("--traceback", "run", "orders", "-s", "workers=0")
    assert ended.status in (1, 2)
    assert f"ValueError: {MASK}" in ended.said
    texts = [ended.said.encode(), *left_behind().values()]
    assert not [form for form in SPELLINGS for text in texts if form.encode() in text]


# Encrypted sessions


def test_with_a_key_the_cookies_are_secret_too(
    shop: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop.url)
    first = command("run", "orders", "-s", "max_pages=3", "-s", "workers=0")
    cookies = {visit.cookie for visit in shop.log if visit.cookie} - {""}
    assert cookies_in(left_behind(), cookies), "the test would not see a cookie"
    monkeypatch.setenv("CRAWL_KEY", KEY)
    second = command("run", "orders", "-s", "workers=2")
    assert (first.status, second.status) == (0, 0), first.said + second.said
    assert shop.counters.logins == 1
    cookies |= {visit.cookie for visit in shop.log if visit.cookie}
    assert cookies_in(left_behind(), cookies) == []
    assert leaks(first.said, second.said) == {}
    assert not [name for name, data in left_behind().items() if KEY.encode() in data]
    monkeypatch.delenv("CRAWL_KEY")
    ended = command("run", "orders", "-s", "workers=2")
    assert ended.status == 2
    assert "has encrypted sessions: set CRAWL_KEY" in ended.said
    assert command("status").status == 0


def cookies_in(files: dict[str, bytes], cookies: set[str]) -> list[str]:
    return [name for name, data in files.items() for one in cookies if one.encode() in data]


COURIER = """
    from crawler import Request, Spider


    class Courier(Spider):
        delay = 0
        commit_interval = 0.01
        obey_robots = False

        def __init__(self, box="", **rest):
            super().__init__(**rest)

        def parse(self, response):
            url = "{url}/missing"
            yield Request(url, "slow", headers={{"X-Auth": "hunter2-head"}}, priority=9)
            yield Request(url, "slow", cookies={{"sid": "hunter2-cookie"}}, dont_filter=True)
            yield Request(url, "slow", method="POST", data={{"password": "hunter2-form"}})
            yield Request(url, "slow", method="POST", json={{"password": "hunter2-json"}})
            yield Request(url, "slow", cb_kwargs={{"token": "hunter2-state"}}, dont_filter=True)
            yield Request(url + "?token=hunter2-query", "slow")
            yield Request(response.url, "fail", dont_filter=True)

        def slow(self, response, token=""):
            yield {{"url": response.url}}

        def fail(self, response):
            raise ValueError("Cookie: sid=hunter2-error")
"""


def test_with_a_key_no_request_and_no_failure_is_in_clear(
    shop: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("spiders/courier.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(COURIER.format(url=shop.url)))
    seed = f"{shop.url}/?key=hunter2-seed"
    words = ["run", "courier", seed, "-a", "box=hunter2-box", "-s", "workers=0"]
    assert command(*words, "--job", "open", "-s", "max_pages=1").status in (0, 1)
    assert in_stores("open"), "the test would not see a secret"
    monkeypatch.setenv("CRAWL_KEY", KEY)
    assert command(*words, "--job", "secret", "-s", "max_pages=1").status in (0, 1)
    assert in_stores("secret") == set()
    for key, sentence in ((None, "has encrypted sessions: set CRAWL_KEY"), ("x", "is not the key")):
        monkeypatch.delenv("CRAWL_KEY")
        if key:
            monkeypatch.setenv("CRAWL_KEY", key)
        for again in (["resume", "secret"], [*words, "--job", "secret"]):
            ended = command(*again)
            assert ended.status == 2
            assert sentence in ended.said
            assert len(ended.said.strip().splitlines()) == 1
        monkeypatch.setenv("CRAWL_KEY", KEY)
    ended = command(*words, "--job", "secret", "-s", "max_pages=100")
    wanted = [visit for visit in shop.log if "/missing" in visit.target]
    assert len(wanted) == 6
    assert in_stores("secret") == set()
    assert "hunter2-error" in command("status", "secret", "--failed").said
    assert command("resume", "secret").status == ended.status
    monkeypatch.delenv("CRAWL_KEY")
    assert command("status", "secret").status == 0


def in_stores(folder: str) -> set[bytes]:
    """The secrets that the files of a job have in clear, besides its items."""
    paths = [path for path in Path(folder).iterdir() if path.name != "items.jsonl"]
    data = b"".join(path.read_bytes() for path in paths)
    return set(re.findall(rb"hunter2-[a-z]+", data))
