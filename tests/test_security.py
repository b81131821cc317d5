"""The promises of ``docs/security.md`` without another test; and that the tests it names exist."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler import Response
from crawler.cli import main as cli
from crawler.cli.configure import for_resume
from crawler.errors import UsageError
from crawler.job.folder import PAGES, STORE
from crawler.output.items import ItemWriter
from crawler.parsing.sitemaps import Sitemap
from crawler.session.masking import Mask
from tests.sites import Site
from tests.test_regexes import budget

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


# The page


def named() -> list[tuple[Path, str]]:
    """Each test that the page names, as ``tests/test_x.py::test_y``, or a whole file."""
    found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    return [(ROOT / path, name) for path, name in found]


@pytest.mark.parametrize(
    ("path", "name"), named(), ids=[f"{path.stem}-{name or 'all'}" for path, name in named()]
)
def test_every_test_that_is_named_is_there(path: Path, name: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(rf"^def {name or 'test_.*'}\(", text, re.MULTILINE)


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    heads = [line for line in rows if line == "| attack | defence | test |"]
    assert len(heads) == 5, "a site, a list, an item, an argument, another user"
    bare = [line for line in rows if line not in heads and "tests/" not in line]
    assert bare == []


# XML


def with_entity(path: Path) -> bytes:
    return (
        f"<?xml version='1.0'?><!DOCTYPE urlset [<!ENTITY stolen SYSTEM 'file://{path}'>]>"
        "<urlset><url><loc>http://shop.example/&stolen;</loc></url></urlset>"
    ).encode()


def test_no_file_of_this_machine_gets_into_a_page(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret", encoding="utf-8")
    for kind in ("application/xml", "text/html"):
        page = Response("http://shop.example/", with_entity(secret), headers={"Content-Type": kind})
        told = [str(page.soup), *page.css("*::text").getall(), *page.xpath("//text()").getall()]
        told += [entry.url for entry in Sitemap(page)]
        assert not any("s3cret" in text for text in told)
        assert "stolen" in page.text  # the page is what it should be


def test_entities_that_name_each_other_do_not_grow() -> None:
    """A billion, of ten words that stand for ten words each."""
    names = [f"<!ENTITY a{number} '{f'&a{number - 1};' * 10}'>" for number in range(1, 10)]
    text = f"<!DOCTYPE a [<!ENTITY a0 '{'a' * 10}'>{''.join(names)}]><a>&a9;</a>"
    page = Response(
        "http://shop.example/", text.encode(), headers={"Content-Type": "application/xml"}
    )
    with budget("reading a billion words"):
        assert len(page.soup.get_text()) < 10_000_000
        assert len("".join(page.css("*::text").getall())) < 10_000_000
        assert list(Sitemap(page)) == []


# Items


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x85", "\u2028", '"}\n{"url": "forged"}'])
def test_an_item_is_one_line_whatever_it_says(text: str) -> None:
    """Lines end with a line feed; that Unicode has other ends of lines is why not splitlines()."""
    line = ItemWriter().line({"title": text})
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"title": text}


def test_json_of_a_site_stays_in_its_line() -> None:
    raw = msgspec.json.decode(b'{"found": [1,\n 2],\n\n "b": "x"}', type=dict[str, msgspec.Raw])
    line = ItemWriter().line({"title": "a", **raw})
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"title": "a", "found": [1, 2], "b": "x"}


def test_a_formula_is_written_as_it_is() -> None:
    """Text is written unchanged: a spreadsheet must import it as text."""
    assert ItemWriter().line({"name": "=HYPERLINK(1)"}) == b'{"name":"=HYPERLINK(1)"}\n'


# Pages


def lines_run(work: Callable[[], object]) -> int:
    """Return the number of lines of Python that ``work`` goes through."""
    count = 0

    def trace(frame: object, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_forms_times_controls_are_no_work() -> None:
    """A page of so many forms and so many controls that name one of them, or none."""

    def work(number: int) -> int:
        forms = "".join(f"<form id=f{one}></form>" for one in range(number))
        controls = "".join(f"<input form=g{one} name=a>" for one in range(number))
        page = Response("http://shop.example/", f"{forms}{controls}".encode())
        assert page.root is not None
        return lines_run(lambda: page.form().fields)

    assert work(800) < 2.5 * work(400)


# Other users


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
def test_a_job_that_others_can_write_is_not_resumed(tmp_path: Path) -> None:
    """Its store says which file is imported, so it is as good as code."""
    store = tmp_path / STORE
    store.touch()
    store.chmod(0o620)
    with pytest.raises(UsageError, match=r"others can write .*job\.db.*crawl run SPIDER --job"):
        for_resume(tmp_path, Mask())


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root gives files away")
def test_a_job_of_another_user_is_not_resumed(tmp_path: Path) -> None:
    store = tmp_path / STORE
    store.touch(mode=0o600)
    os.chown(store, 65534, 65534)
    with pytest.raises(UsageError, match="others can write"):
        for_resume(tmp_path, Mask())


LOGS_IN = """
from crawler import Spider


class Orders(Spider):
    delay = 0
    accounts = [{"name": "../../anna", "user": "anna", "password": "s3cret-of-anna"}]

    def login(self, session):
        session.open(self.door)

    def is_logged_out(self, response):
        return True

    def parse(self, response):
        yield {"url": response.url}
"""


def test_the_page_of_a_failed_login_is_for_its_owner_and_called_by_us(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account may be called like a way out of the folder; it leads nowhere."""
    monkeypatch.chdir(tmp_path)
    site.pages["/"] = "<title>in</title> s3cret-of-anna"
    Path("orders.py").write_text(LOGS_IN, encoding="utf-8")
    command = ["run", "orders.py", f"{site.url}/", "--job", "job", "-a", f"door={site.url}/"]
    assert cli.execute(command) == 4
    (page,) = Path("job", PAGES).iterdir()
    assert re.fullmatch(r"login-[\w.-]+\.html", page.name)
    assert "anna" in page.name
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert "s3cret" not in page.read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"job", "orders.py"}
