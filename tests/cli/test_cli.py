"""The command line: each command, each kind of bad input, each exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.cli import main as cli
from crawler.demo.server import DemoServer
from crawler.demo.shop import Shop
from crawler.job.lookup import job_status
from tests.conftest import wait_until
from tests.sites import PATIENCE, Reply, Site, Visit, links

QUICK = ("-s", "workers=0", "-s", "delay=0", "-s", "retry_wait=0.01")
"""Settings of a test that is not about them."""

PAGES = """
    from crawler import Spider

    class Pages(Spider):
        start_urls = ["URL/"]

        def parse(self, response):
            yield {"url": response.url}
            yield from response.follow_all()
"""

Crawl = Callable[..., "Ended"]
Write = Callable[[str, str], Path]


class Ended:
    """The end of a command."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def line(self) -> str:
        """The one line on standard error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


@pytest.fixture
def write(project: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    return write


@pytest.fixture
def crawl(capsys: pytest.CaptureFixture[str]) -> Crawl:
    """The command, in this process."""

    def crawl(*arguments: object) -> Ended:
        status = cli.execute([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(status, out, err)

    return crawl


@pytest.fixture
def pages(site: Site, write: Write) -> Site:
    """A site of three pages and one that is missing, with a spider in spiders/pages.py."""
    site.pages = {"/": links("/a", "/b", "/missing"), "/a": links("/"), "/b": links("/a")}
    write("spiders/pages.py", PAGES.replace("URL", site.url))
    return site


def items(path: str = "data/jobs/pages/items.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def start(*arguments: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "crawler", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )


def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=PATIENCE * 2)
    return Ended(process.returncode, out, err)


# Running, going on, starting again


def test_a_run_writes_the_items_and_says_what_it_found(pages: Site, crawl: Crawl) -> None:
    run = crawl("run", "pages", *QUICK)
    assert run.status == 0
    assert run.out == ""
    assert sorted(item["url"] for item in items()) == [f"{pages.url}/{x}" for x in ("", "a", "b")]
    assert run.err.startswith("crawl: pages finished\n  pages      3 in ")
    assert "  items      3 in data/jobs/pages/items.jsonl\n" in run.err
    assert "  failed     1: 1 http 404\n" in run.err


def test_a_finished_job_says_so_and_fetches_nothing(pages: Site, crawl: Crawl) -> None:
    crawl("run", "pages", *QUICK)
    fetched = len(pages.visits())
    again = crawl("run", "pages", *QUICK)
    assert again.status == 0
    assert again.err.startswith("crawl: pages is already finished and has no new seeds; --fresh")
    assert len(pages.visits()) == fetched
    assert len(items()) == 3


def test_new_seeds_of_a_finished_job_are_added(pages: Site, crawl: Crawl, project: Path) -> None:
    seeds = project / "seeds.txt"
    seeds.write_text(f"{pages.url}/a\n")
    crawl("run", "pages", seeds, "-s", "max_depth=0", *QUICK)
    seeds.write_text(f"{pages.url}/a\n{pages.url}/b\n")
    again = crawl("run", "pages", seeds, "-s", "max_depth=0", *QUICK)
    assert again.status == 0
    assert [item["url"] for item in items()] == [f"{pages.url}/a", f"{pages.url}/b"]


def test_fresh_starts_again_but_asks_before_it_overwrites(pages: Site, crawl: Crawl) -> None:
    crawl("run", "pages", *QUICK)
    refused = crawl("run", "pages", "--fresh", *QUICK)
    assert refused.status == 2
    assert "--yes" in refused.line
    assert len(items()) == 3
    again = crawl("run", "pages", "--fresh", "--yes", *QUICK)
    assert again.status == 0
    assert len(items()) == 3
    assert pages.asked["/a"] == 2


def test_the_output_and_the_job_go_to_the_given_paths(pages: Site, crawl: Crawl) -> None:
    run = crawl("run", "pages", "-o", "out.jsonl", "--job", "the/job", *QUICK)
    assert run.status == 0
    assert len(items("out.jsonl")) == 3
    assert Path("the/job/job.db").is_file()
    assert not Path("data").exists()


def test_columns_of_the_seeds_and_arguments_reach_the_spider(
    site: Site, write: Write, crawl: Crawl
) -> None:
    site.otherwise = lambda visit: "page"
    write(
        "spiders/cities.py",
        """
        from crawler import Spider

        class Cities(Spider):
            def __init__(self, land):
                self.land = land

            def parse(self, response, city):
                return {"city": city, "land": self.land}
        """,
    )
    write("seeds.csv", f"url,city\n{site.url}/1,Bonn\nexample.com,Ulm\n{site.url}/2,Köln\n")
    run = crawl("run", "cities", "seeds.csv", "-a", "land=a=b", *QUICK)
    assert run.status == 0
    assert items("data/jobs/cities/items.jsonl") == [
        {"city": "Bonn", "land": "a=b"},
        {"city": "Köln", "land": "a=b"},
    ]
    assert run.err.startswith("crawl: bad seed seeds.csv:3: 'example.com' needs a scheme to be")
    assert "\n  bad seeds  1\n" in run.err


def test_seeds_from_standard_input(pages: Site) -> None:
    process = start("run", "pages", "-", "-s", "max_depth=0", *QUICK)
    out, err = process.communicate(f"# mine\n{pages.url}/a\n", timeout=PATIENCE)
    assert (process.returncode, out) == (0, ""), err
    assert [item["url"] for item in items()] == [f"{pages.url}/a"]


def test_settings_come_from_pyproject_then_spider_then_command(
    pages: Site, write: Write, crawl: Crawl
) -> None:
    write("pyproject.toml", '[tool.crawler]\nuser_agent = "ours/1"\nmax_depth = 0\n')
    crawl("run", "pages", "-s", "max_depth=1", "-s", "max_pages=2", *QUICK)
    assert len(items()) == 2
    assert {visit.headers["User-Agent"] for visit in pages.log} == {"ours/1"}


def test_resume_repeats_the_run_from_any_folder(
    pages: Site, crawl: Crawl, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "seeds.txt").write_text(f"{pages.url}/a\n")
    crawl("run", "pages", "seeds.txt", "-s", "max_depth=0", "--job", "job", *QUICK)
    (project / "seeds.txt").write_text(f"{pages.url}/a\n{pages.url}/b\n")
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    resumed = crawl("resume", "../job")
    assert resumed.status == 0, resumed.err
    assert len(items("../job/items.jsonl")) == 2


def test_resume_needs_no_standard_input_once_all_of_it_was_read(pages: Site, crawl: Crawl) -> None:
    command = ["run", "pages", "-", "-s", "max_pages=1", *QUICK]
    start(*command).communicate(f"{pages.url}/a\n{pages.url}/b\n", timeout=PATIENCE)
    resumed = crawl("resume")
    assert resumed.status == 0
    assert "finished: max_pages is reached, 2 pending" in resumed.err


# Stopping


@pytest.fixture
def stopped() -> threading.Event:
    """Set it after the run was asked to stop; the run does not end before."""
    return threading.Event()


@pytest.fixture
def slow(site: Site, write: Write, stopped: threading.Event) -> Site:
    """A site of twenty pages, each of which takes a while, with a spider."""

    def last(visit: Visit) -> str:
        assert stopped.wait(PATIENCE)
        return "x"

    site.pages["/19"] = last
    site.otherwise = lambda visit: links(*(f"/{number}" for number in range(20)))
    write("spiders/pages.py", PAGES.replace("URL", site.url))
    return site


SLOW = ("-s", "workers=1", "-s", "delay=0.1", "-s", "commit_interval=0.01")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_with_3_and_continues(
    slow: Site, crawl: Crawl, stopped: threading.Event, number: int
) -> None:
    process = start("run", "pages", *SLOW)
    slow.wait_for("/3")
    process.send_signal(number)
    stopped.set()
    end = ended(process)
    assert end.status == 3, end.err
    assert re.search(
        r"^crawl: pages stopped, \d+ pending: run the same command to continue$", end.err, re.M
    )
    status = crawl("status", "pages").out
    assert status.startswith("data/jobs/pages is stopped\n")
    assert "  ended      it was stopped\n" in status
    assert crawl("resume").status == 0
    assert len(items()) == 21
    assert len({item["url"] for item in items()}) == 21


def test_a_job_that_runs_is_left_alone(slow: Site, crawl: Crawl, stopped: threading.Event) -> None:
    process = start("run", "pages", *SLOW)
    try:
        slow.wait_for("/1")
        wait_until(lambda: job_status(Path("data/jobs/pages"))["done"], "no page was committed")
        second = crawl("run", "pages")
        status = json.loads(crawl("status", "--json").out)
    finally:
        process.send_signal(signal.SIGINT)
        stopped.set()
        assert ended(process).status == 3
    assert second.status == 2
    assert second.line.startswith(
        f"crawl: the job in data/jobs/pages is being run by process {process.pid};"
    )
    assert status["state"] == "running"


def test_an_interrupted_command_that_is_no_crawl(
    crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crawler.cli.main.available", interrupted)
    assert crawl("list").status == 130


# Logging in


@pytest.fixture
def shop() -> Iterator[DemoServer]:
    with DemoServer(Shop(seed=7, books=4, orders=3)) as server:
        yield server


def test_a_login_that_fails_ends_with_4(
    shop: DemoServer, crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    spider = Path(__file__).parents[2] / "spiders" / "bookshop.py"
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.setenv("SHOP_PASSWORD", "wrong")
    failed = crawl("run", spider, *QUICK)
    assert failed.status == 4
    assert failed.err.startswith("crawl: bookshop could not log in: ")
    monkeypatch.setenv("SHOP_PASSWORD", shop.shop.password)
    right = crawl("run", spider, *QUICK)
    assert right.status == 0, right.err
    assert len(items("data/jobs/bookshop/items.jsonl")) == 7


def test_a_login_without_its_environment_variable_says_so(
    pages: Site, write: Write, crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    login = "def login(self, session):\n            password = os.environ['SHOP_PASSWORD']"
    text = PAGES.replace("URL", pages.url).replace("def parse", f"{login}\n\n        def parse")
    write("spiders/locked.py", f"    import os\n{text}")
    failed = crawl("run", "locked", *QUICK)
    assert failed.status == 4
    why = "login of pages failed: the environment variable SHOP_PASSWORD is not set; 1 pending"
    assert why in failed.err


# Status, list, new, demo


def test_the_status_of_a_finished_job(pages: Site, crawl: Crawl, project: Path) -> None:
    crawl("run", "pages", *QUICK)
    found = json.loads(crawl("status", "pages", "--json").out)
    assert (
        found.items()
        >= {
            "state": "finished",
            "pending": 0,
            "in_flight": 0,
            "done": 3,
            "failed": 1,
            "items": 3,
            "hosts": 1,
            "failures": {"http 404": 1},
            "output": str(project / "data/jobs/pages/items.jsonl"),
        }.items()
    )
    assert found["bytes"] > 0
    assert found["seconds"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["started"])
    assert crawl("status").out == crawl("status", "data/jobs/pages").out
    assert crawl("status").out.startswith("data/jobs/pages is finished\n")


def test_the_status_lists_what_failed_and_where_in_the_spider(
    site: Site, write: Write, crawl: Crawl
) -> None:
    site.pages = {"/": links("/missing")}
    write("spiders/pages.py", PAGES.replace("URL", site.url) + "            1 / 0\n")
    crawl("run", "pages", *QUICK)
    failed = crawl("status", "--failed")
    assert failed.out.startswith("1 ZeroDivisionError in parse()\n  " + site.url)
    assert 'spiders/pages.py", line 9, in parse\n' in failed.out
    (page,) = json.loads(crawl("status", "--failed", "--json").out)["failed_pages"]
    assert (page["url"], page["cause"]) == (f"{site.url}/", "ZeroDivisionError in parse()")


def test_without_a_name_it_is_the_job_that_ran_last(pages: Site, crawl: Crawl) -> None:
    crawl("run", "pages", "--job", "data/jobs/first", *QUICK)
    crawl("run", "pages", "--job", "data/jobs/second", *QUICK)
    for path in Path("data/jobs/first").glob("job.db*"):
        os.utime(path, (4e9, 4e9))
    assert crawl("status").out.startswith("data/jobs/first is finished")


def test_the_list_shows_spiders_and_broken_files(pages: Site, write: Write, crawl: Crawl) -> None:
    write("spiders/broken.py", "import nonsense\n")
    listed = crawl("list")
    assert listed.status == 0
    assert listed.out == (
        "pages  spiders/pages.py:Pages\n"
        "spiders/broken.py imports 'nonsense', which is not installed here\n"
    )


def test_a_new_spider_runs_as_it_is(site: Site, crawl: Crawl) -> None:
    site.pages = {"/": "<title>One</title>" + links("/2"), "/2": "<title>Two</title>"}
    made = crawl("new", "my_shop", site.url)
    assert made.status == 0
    assert made.out.endswith("run it with: crawl run my_shop\n")
    text = Path("spiders/my_shop.py").read_text()
    assert len([line for line in text.splitlines() if line]) == 6
    assert crawl("run", "my_shop", *QUICK).status == 0
    assert items("data/jobs/myshop/items.jsonl") == [
        {"url": f"{site.url}/", "title": "One"},
        {"url": f"{site.url}/2", "title": "Two"},
    ]


def test_the_demo_shop_opens(monkeypatch: pytest.MonkeyPatch, crawl: Crawl) -> None:
    opened = []
    monkeypatch.setattr("crawler.demo.server.serve", lambda port: opened.append(port))
    assert crawl("demo", "--port", 4321).status == 0
    assert opened == [4321]


def test_help_and_version(crawl: Crawl) -> None:
    assert crawl().out == crawl("--help").out
    for command in ("run", "resume", "status", "list", "new", "demo"):
        assert f"\n  {command} " in crawl().out
        assert crawl(command, "--help").out.startswith(f"Usage: crawl {command} ")
    assert crawl("--version").out.startswith("crawl, version ")


def test_it_is_also_a_module(pages: Site) -> None:
    shown = ended(start("list"))
    assert (shown.status, shown.out) == (0, "pages  spiders/pages.py:Pages\n")


# Bad input


BAD: list[tuple[tuple[str, ...], str]] = [
    (("rn", "pages"), "there is no command 'rn': did you mean run?"),
    (("pages",), "there is no command 'pages': to run a spider, crawl run pages"),
    (("run",), "Missing argument 'SPIDER'."),
    (("run", "pages", "--freesh"), "No such option '--freesh'"),
    (
        ("run", "pgaes"),
        "there is no spider 'pgaes' in spiders/: did you mean pages? (found: ",
    ),
    (
        ("run", "spiders/pgaes.py"),
        "there is no file spiders/pgaes.py: did you mean spiders/pages.py?",
    ),
    (
        ("run", "spiders/pages.py:Pags"),
        "spiders/pages.py:Pags: there is no such class; the file has",
    ),
    (("run", "no.module:Pages"), "there is no module 'no.module', seen from "),
    (("run", "broken"), "spiders/broken.py, line 2: syntax error: "),
    (
        ("run", "spiders/needy.py"),
        "spiders/needy.py imports 'nonsense', which is not installed here",
    ),
    (("run", "spiders/none.py"), "spiders/none.py has no spider: it needs a class that extends"),
    (("run", "pages", "-s", "dely=1"), "-s: there is no setting 'dely': did you mean delay?"),
    (("run", "pages", "-s", "delay=x"), "-s: setting delay cannot be 'x'; it is a number"),
    (("run", "pages", "-s", "delay=-1"), "setting delay is -1.0, but must be at least 0"),
    (("run", "pages", "-s", "delay"), "-s delay: write it as -s NAME=VALUE"),
    (("run", "pages", "-a", "city"), "-a city: write it as -a NAME=VALUE"),
    (("run", "pages", "-a", "=x"), "-a =x: write it as -a NAME=VALUE"),
    (("run", "pages", "-a", "delay=1"), "-a delay=1: delay is a setting, so say -s delay=1"),
    (("run", "pages", "-a", "parse=1"), "-a parse=1: parse is a method of Pages"),
    (("run", "picky", "-a", "city=1"), "Picky cannot be created with -a city: TypeError: "),
    (("run", "misspelt"), "Misspelt.max_page is not a setting: did you mean max_pages?"),
    (("run", "pages", "sedes.txt"), "there is no file sedes.txt: did you mean seeds.txt?"),
    (("run", "pages", "example.com"), "there is no file example.com: to mean the URL, write https"),
    (("run", "pages", "ftp://example.com"), "'ftp://example.com' is not an http or https URL"),
    (("run", "pages", "spiders"), "spiders is a folder, not a seed list"),
    (
        ("run", "pages", "seeds.csv"),
        "the columns city do not fit Pages.parse(): write parse(self, ",
    ),
    (("run", "pages", "plain.csv"), "plain.csv has no column url: its first line must name the"),
    (
        ("run", "members"),
        "Members.login wants an account: give --accounts FILE, or name accounts in the spider",
    ),
    (("run", "idle"), "Idle has nothing to start from"),
    (("run", "lost"), "callback 'prase' is not a method of Lost"),
    (("run", "pages", "-o", "notes.txt"), "notes.txt has content that this job did not write"),
    (("run", "pages", "--job", "notes.txt"), "cannot use notes.txt as a job's folder"),
    (("status",), "there is no job in data/jobs"),
    (("status", "pages"), "there is no job 'pages', and no others in data/jobs"),
    (("run", "texty"), "Texty.start_urls must be a list: write ['https://shop.example/']"),
    (("resume",), "there is no job in data/jobs"),
    (("new", "my-shop"), "'my-shop' cannot name a spider; it must be a Python name: try my_shop"),
    (("new", "class"), "'class' cannot name a spider; it must be a Python name, such as books"),
    (("new", "spider"), "Spider is the name of the base class: choose another name"),
    (("new", "pages"), "spiders/pages.py already exists: choose another name"),
    (("new", "books", "nonsense"), "'nonsense' is not an http or https URL to start from"),
    (("demo", "--port", "x"), "Invalid value for '--port': 'x' is not a valid integer"),
]


@pytest.mark.parametrize(("arguments", "reason"), BAD, ids=[" ".join(bad) for bad, _ in BAD])
def test_bad_input_gets_one_clear_line_and_status_2(
    pages: Site, write: Write, crawl: Crawl, arguments: tuple[str, ...], reason: str
) -> None:
    head = "from crawler import Request, Spider\n"
    write("spiders/broken.py", "x = 1\ny = = 1\n")
    write("spiders/needy.py", "import nonsense\n")
    write("spiders/none.py", "x = 1\n")
    write("spiders/idle.py", head + "class Idle(Spider):\n  def parse(self, response): ...\n")
    write("spiders/misspelt.py", head + "class Misspelt(Spider):\n  max_page = 3\n")
    write("spiders/picky.py", head + "class Picky(Spider):\n  def __init__(self): ...\n")
    members = "class Members(Spider):\n  def login(self, session, account): ...\n"
    write("spiders/members.py", head + members)
    start = f"return [Request('{pages.url}/', 'prase')]"
    write("spiders/lost.py", head + f"class Lost(Spider):\n  def start(self): {start}\n")
    write(
        "spiders/texty.py", head + "class Texty(Spider):\n  start_urls = 'https://shop.example/'\n"
    )
    write("seeds.txt", f"{pages.url}/\n")
    write("seeds.csv", f"url,city\n{pages.url}/,Bonn\n")
    write("plain.csv", f"{pages.url}/\n")
    write("notes.txt", "mine\n")
    refused = crawl(*arguments)
    assert refused.line.startswith("crawl: ")
    assert reason in refused.line
    assert refused.status == 2
    assert refused.out == ""
    assert pages.visits() == []
    assert not Path("data/jobs/texty").exists()
    assert Path("notes.txt").read_text() == "mine\n"


def test_bad_lines_are_reported_by_their_numbers_and_the_rest_is_crawled(
    pages: Site, write: Write, crawl: Crawl
) -> None:
    write("seeds.txt", f"# mine\nexample.com\n{pages.url}/a\nftp://x/\nhttp://\n{pages.url}/b\n")
    run = crawl("run", "pages", "seeds.txt", "-s", "max_depth=0", *QUICK)
    assert run.status == 0
    assert run.err.splitlines()[:3] == [
        "crawl: bad seed seeds.txt:2: 'example.com' needs a scheme to be a URL: https://example.com",
        "crawl: bad seed seeds.txt:4: 'ftp://x/' is not an http or https URL",
        "crawl: bad seed seeds.txt:5: 'http://' is a broken URL",
    ]
    assert len(items()) == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "example.com\n"])
def test_a_list_without_a_seed_is_bad_input(
    pages: Site, write: Write, crawl: Crawl, text: str
) -> None:
    write("seeds.txt", text)
    run = crawl("run", "pages", "seeds.txt", *QUICK)
    assert run.status == 2
    assert run.err.splitlines()[-1].startswith("crawl: none of the seeds in ")


def test_the_output_of_a_job_cannot_be_changed_half_way(pages: Site, crawl: Crawl) -> None:
    crawl("run", "pages", *QUICK)
    refused = crawl("run", "pages", "-o", "other.jsonl", *QUICK)
    assert refused.status == 2
    assert "other.jsonl" in refused.line
    assert not Path("other.jsonl").exists()


def test_another_argument_is_another_job(pages: Site, crawl: Crawl) -> None:
    crawl("run", "pages", *QUICK)
    refused = crawl("run", "pages", "-a", "city=Bonn", *QUICK)
    assert refused.status == 2
    assert "was started with no -a, not with -a city=Bonn" in refused.line


def test_a_page_that_fails_does_not_change_the_status(
    site: Site, write: Write, crawl: Crawl
) -> None:
    site.pages = {"/": Reply("gone", 410)}
    write("spiders/pages.py", PAGES.replace("URL", site.url))
    run = crawl("run", "pages", *QUICK)
    assert run.status == 0
    said = f"crawl: pages finished, but every page failed: {site.url}/: the server answered 410\n"
    assert run.err.startswith(said)
    assert "  failed     1: 1 http 410\n" in run.err


# What nobody expects


def test_an_unexpected_error_is_one_line_and_status_1(
    pages: Site, crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(cli, "run_job", broken)
    failed = crawl("run", "pages")
    assert failed.status == 1
    assert failed.line == (
        "crawl: unexpected error: ZeroDivisionError: division by zero "
        "(crawl --traceback … shows where)"
    )
    told = crawl("--traceback", "run", "pages")
    assert told.status == 1
    assert told.err.startswith("Traceback (most recent call last)")
    assert "ZeroDivisionError" in told.err


def test_the_log_keeps_the_traceback_of_an_unexpected_error(
    pages: Site, crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("crawler.engine.seeding.Seeder.add_seeds", broken)
    failed = crawl("run", "pages", *QUICK)
    assert failed.status == 1
    assert failed.line == (
        "crawl: unexpected error: ZeroDivisionError: division by zero (see data/jobs/pages/run.log)"
    )
    assert "ZeroDivisionError: division by zero" in Path("data/jobs/pages/run.log").read_text()


def test_a_reader_that_has_gone_is_no_error(pages: Site) -> None:
    process = start("list")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    gone = ended(process)
    assert gone.status in (0, 1)
    assert gone.err == ""
