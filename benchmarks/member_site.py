"""The section "login": a site whose pages are for members, crawled with BeautifulSoup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import broad_crawl
from benchmarks.calm import Calm
from benchmarks.crawlers import OURS_MEMBER, earlier
from benchmarks.machine import describe
from benchmarks.measure import Target
from benchmarks.results import Goal, Row, Section, ratio, row_of, today
from benchmarks.site import LOGIN, Site, Source, serve_source

PAGES = 5000
SIZE = 60_000
"""Bytes of a page."""

_LOGINS = Goal(1, None, at_most=True)
_RATE = Goal(1.7, None)
_NEXT = 20
"""The number of following pages that a page links to."""
_FORM = (
    '<!DOCTYPE html><title>Log in</title><form method="post" action="/login">'
    '<input name="user"><input name="password" type="password"><button>Log in</button></form>'
)
_CONFIG = f"""
location = {LOGIN} {{
    default_type text/html;
    if ($request_method = POST) {{
        add_header Set-Cookie "member=ada; Path=/; HttpOnly";
        return 303 /index.html;
    }}
    return 200 '{_FORM}';
}}
location / {{
    if ($cookie_member != ada) {{ return 302 {LOGIN}; }}
}}
"""


@dataclass(frozen=True, slots=True)
class MemberSite(Site):
    """The site; every page redirects to a form unless the cookie of a login comes with it."""

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of our spider: where to log in."""
        return {"form": f"http://127.0.0.1:{self.port}{LOGIN}"}


def section(runs: int, calm: Calm, pages: int = PAGES, against: Path | None = None) -> Section:
    """Crawl the site ``runs`` times, in turn with another checkout of the project.

    Raises CrawlError.
    """
    before = [] if against is None else [earlier(OURS_MEMBER, against)]
    with serve(pages) as site:
        measured = broad_crawl.run_in_turn([OURS_MEMBER, *before], runs, calm, site)
    all_runs = [run for own in measured.values() for run in own]
    ours = measured[OURS_MEMBER]
    logins = max(run.traffic.logins for run in ours)
    rows = [
        row_of(ours),
        Row(name="… logins", value=logins, unit="", goal=_LOGINS, ours=True),
    ]
    for crawler in before:
        row = row_of(measured[crawler])
        rows += [ratio("… against the version before", rows[0].value, row.value, _RATE), row]
    per_page = median(run.serving / run.traffic.requests for run in all_runs) * 1000
    return Section(
        key="login",
        title=f"a site with a login, {pages:,} pages of {SIZE // 1000} KB",
        runs=runs,
        rows=rows,
        machine=describe(),
        notes=[f"The site with a login: nginx needs {per_page:.2f} ms of CPU time for a page."],
        others=[run.others for run in all_runs],
        day=today(),
    )


@contextmanager
def serve(pages: int) -> Iterator[Target]:
    """Serve the site until the block ends."""
    with TemporaryDirectory(prefix="benchmark-members-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # if started as root, nginx reads as another user
        for page in range(pages):
            (folder / _file(page)).write_text(_page(page, pages))
        with serve_source("members", Source("members", folder, config=_CONFIG)) as site:
            yield MemberSite(site.name, site.port, site.log, site.server)


def _file(page: int) -> str:
    return f"{page}.html" if page else "index.html"


def _page(page: int, pages: int) -> str:
    """Return a page as an application has it: a navigation, tables and text."""
    near = range(max(0, page - 5), min(pages, page + _NEXT + 1))
    links = "".join(f'<li><a href="{_file(other)}">Account {other}</a></li>' for other in near)
    head = (
        f"<!DOCTYPE html><html><head><title>Account {page}</title></head><body>"
        f'<nav><ul>{links}<li><a href="/logout">Log out</a></li></ul></nav><h1>Account {page}</h1>'
    )
    parts, size = [head], len(head)
    for number in range(SIZE):
        part = _block(page, number)
        size += len(part)
        if size > SIZE:
            break
        parts.append(part)
    return "".join([*parts, "</body></html>"])


def _block(page: int, number: int) -> str:
    rows = "".join(
        f'<tr class="order"><td>{page}-{number}-{row}</td><td><b>{row * 17 % 100}</b> pieces</td>'
        f'<td class="sum">{row * 31 % 1000}.00</td></tr>'
        for row in range(10)
    )
    text = "Orders are sent within two days, and can be returned within thirty. " * 4
    table = f'<table class="orders">{rows}</table>'
    return f"<section><h2>Orders {number}</h2><p>{text}</p>{table}</section>"
