"""Spiders of the applications as the tests need them: written into a file of their own.

A spider comes from docs/applications.md, as a reader would copy it, or from ``spiders/``. Extended,
it follows everything, or has a session end or its processes killed at chosen pages.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawler import Response
from tests.apps.member_site import MemberSite
from tests.test_docs import ROOT, blocks_of

HERE = Path(__file__).parent
DETAIL = re.compile(r"page|start|[0-9a-f]{8,}|\d+")
"""The parts of a URL that say which page it is about, not what is done."""
START_PAGE = {
    "start": "page00",
    "WikiStart": "page00",
    "Main_Page": "Page00",
    "members/": "page00/",
    "issues/1": "issues/page00",
    "viewtopic.php?t=1": "viewtopic.php?t=page00",
    "reports/summary": "reports/page00",
}
"""The page to start from in the tests, by that of the manual."""
START = re.compile(rf"(?<=[/=])({'|'.join(map(re.escape, START_PAGE))})(\")")
MANUAL = ROOT / "docs" / "applications.md"


def source_of(spider: str) -> str:
    """Return the code of a spider, from the manual or from ``spiders/``, with a page of the tests
    to start from."""
    name = f"{spider.lower()}.py"
    for block in blocks_of(MANUAL.read_text(encoding="utf-8")):
        if block.file == f"spiders/{name}":
            return START.sub(lambda start: START_PAGE[start[1]] + start[2], block.text)
    return (HERE / "spiders" / name).read_text(encoding="utf-8")


def write(site: MemberSite, folder: Path) -> Path:
    """Write the spider of an application with its real address, and what extends it."""
    source = source_of(site.spider)
    assert site.address in source
    site_class, here = type(site), Path(site.folder)
    file = folder / f"{site.spider.lower()}.py"
    file.write_text(
        source.replace(site.address, site.url)
        + f"""

from pathlib import Path

from {site_class.__module__} import {site_class.__name__} as Site
from tests.apps.watched import Following, Watched, kill


class Default({site.spider}):
    is_logged_out = Spider.is_logged_out
    member_mark = ""


class Checked({site.spider}):
    member_mark = ""

    def is_logged_out(self, response):
        return response.is_html and not response.select_one({site.member_mark!r})


class Everything(Following, {site.spider}):
    start_urls = {site.pages()!r}
    member_mark = {site.member_mark!r}


class Acting(Everything):
    follow_destructive = True

    def is_logged_out(self, response):
        return False


class Ended(Watched, {site.spider}):
    def happen(self):
        Site(Path({str(here)!r})).end_sessions()


class Killed(Watched, {site.spider}):
    def happen(self):
        kill()


class KilledAndEnded(Watched, {site.spider}):
    def happen(self):
        if self.mark in os.environ["ENDS"].split():
            Site(Path({str(here)!r})).end_sessions()
        else:
            kill()
"""
    )
    return file


class Following:
    """Follows all links of all pages, from the pages of content: first a few of each shape."""

    deny = ()
    member_mark: str

    def parse(self, response: Response) -> Iterator[Any]:
        """Give an item that says whether this is a member's page."""
        marked = response.is_html and response.select_one(self.member_mark)
        yield {"url": response.url, "member": bool(marked), "html": response.is_html}
        shapes = self.__dict__.setdefault("shapes", Counter())
        for request in response.follow_all() if response.is_html else ():
            shape = DETAIL.sub("", request.url)
            request.priority = -shapes[shape]
            shapes[shape] += 1
            yield request


class Watched:
    """Has something happen at the pages whose numbers are in the environment's MARKS.

    It happens before the page is parsed, and not before the first item is in the output.
    """

    mark = ""
    """The mark that has been reached."""

    def happen(self) -> None:
        """Let it happen."""
        raise NotImplementedError

    def parse(self, response: Response) -> Iterator[Any]:
        """Count the page, then parse it as the application's spider does."""
        job = Path(os.environ["JOB"])
        log = os.open(job.with_suffix(".parsed"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, b".")
        number = os.lseek(log, 0, os.SEEK_CUR)
        os.close(log)
        for mark in os.environ["MARKS"].split():
            if number >= int(mark) and _size(job / "items.jsonl") and _first(job, mark):
                self.mark = mark
                self.happen()
                break
        yield from super().parse(response)  # type: ignore[misc]


def kill() -> None:
    """SIGKILL for all the processes of a crawl."""
    os.killpg(0, signal.SIGKILL)


def _first(job: Path, mark: str) -> bool:
    """Return True once for each mark of a job, over all its runs."""
    try:
        job.with_suffix(f".{mark}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
