"""The demo shop: its content, its pages, its login and its log."""

from __future__ import annotations

import importlib.util
import re
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from bs4 import BeautifulSoup, Tag

from crawler.demo.__main__ import Findings
from crawler.demo.__main__ import main as tour
from crawler.demo.content import money, slug
from crawler.demo.server import DemoServer
from crawler.demo.shop import Shop
from crawler.demo.site import Answer, Ask
from crawler.errors import UsageError
from crawler.parsing.response import Response
from crawler.request import Request
from crawler.spider import Spider
from tests.sites import PATIENCE

SPIDERS = Path(__file__).parents[2] / "spiders"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(seed=7, books=45, orders=23)


@pytest.fixture
def server(shop: Shop) -> Iterator[DemoServer]:
    with DemoServer(shop) as server:
        yield server


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def page(browser: requests.Session, url: str) -> BeautifulSoup:
    response = browser.get(url)
    assert response.status_code == 200, url
    return BeautifulSoup(response.content, "lxml")


def log_in(browser: requests.Session, server: DemoServer, **fields: str) -> requests.Response:
    form = page(browser, f"{server.url}/login").select("#login input")
    values = {str(field["name"]): str(field.get("value", "")) for field in form}
    values |= {"user": server.shop.user, "password": server.shop.password, **fields}
    return browser.post(f"{server.url}/login", data=values)


def example(name: str) -> Any:
    """The module of an example spider, loaded afresh so that it reads the environment again."""
    spec = importlib.util.spec_from_file_location(name, SPIDERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def crawl(spider: Spider, browser: requests.Session) -> list[Any]:
    """A crawler in ten lines, to see the pages that a spider finds if nothing fails."""
    queue = [Request(str(url)) for url in spider.start_urls]
    seen: set[str] = set()
    items: list[Any] = []
    for request in queue:
        if request.url not in seen:
            seen.add(request.url)
            raw = browser.get(request.url)
            response = Response(raw.url, raw.content, headers=raw.headers, request=request)
            for result in getattr(spider, request.callback)(response):
                (queue if isinstance(result, Request) else items).append(result)
    return items


def text(element: BeautifulSoup | Tag, css: str) -> str:
    found = element.select_one(css)
    assert found is not None, css
    return found.text


# Content


def test_the_same_seed_is_the_same_shop() -> None:
    assert Shop(seed=3).expected_orders() == Shop(seed=3).expected_orders()
    assert Shop(seed=3).expected_books() == Shop(seed=3).expected_books()
    assert Shop(seed=3).expected_books() != Shop(seed=4).expected_books()


def test_a_small_shop_is_the_beginning_of_a_large_one() -> None:
    assert Shop(books=30).books == Shop(books=300).books[:30]


def test_every_book_has_a_path_of_its_own() -> None:
    shop = Shop(books=3000)
    assert len({book.slug for book in shop.books}) == 3000
    assert len(shop.book_paths()) == 3000 + 150


def test_an_empty_shop_still_has_its_lists() -> None:
    shop = Shop(books=0, orders=0)
    assert shop.book_paths() == ["/books/"]
    assert shop.order_paths() == ["/orders"]


@pytest.mark.parametrize(("cents", "shown"), [(0, "€0.00"), (5, "€0.05"), (123456, "€1234.56")])
def test_money(cents: int, shown: str) -> None:
    assert money(cents) == shown


def test_slugs_are_plain_ascii() -> None:
    assert slug("Île-Claire: A History in Keys?") == "ile-claire-a-history-in-keys"


# Pages


class Balance(HTMLParser):
    """Fails on tags that are not closed in the order they were opened."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_link_leads_somewhere(server: DemoServer, browser: requests.Session) -> None:
    log_in(browser, server)
    seen = {f"{server.url}/"}
    queue = list(seen)
    while queue:
        response = browser.get(queue.pop())
        assert response.status_code == 200, response.url
        balance = Balance()
        balance.feed(response.text)
        assert balance.open == []
        for link in BeautifulSoup(response.content, "lxml").select("a[href]"):
            url = urljoin(response.url, str(link["href"]))
            if url not in seen and "/cart/" not in url:
                seen.add(url)
                queue.append(url)
    shop = server.shop
    paths = {*shop.public_paths(), *shop.order_paths()}
    assert {url.removeprefix(server.url) for url in seen} == paths


def test_markup_in_what_is_shown_stays_text(server: DemoServer, browser: requests.Session) -> None:
    form = page(browser, f'{server.url}/login?next="><script>').select_one("[name=next]")
    assert form is not None
    assert form["value"] == '"><script>'


@pytest.mark.parametrize(
    "path",
    ["/books/?page=4", "/books/?page=0", "/books/?page=x", "/books/none", "/a/b", "/books/x/"],
)
def test_missing_pages_are_404(server: DemoServer, browser: requests.Session, path: str) -> None:
    assert browser.get(server.url + path).status_code == 404


def test_robots_and_sitemap(server: DemoServer, browser: requests.Session) -> None:
    robots = browser.get(f"{server.url}/robots.txt").text
    assert "Disallow: /cart/" in robots
    assert f"Sitemap: {server.url}/sitemap.xml" in robots
    sitemap = BeautifulSoup(browser.get(f"{server.url}/sitemap.xml").content, "xml")
    assert [loc.text.removeprefix(server.url) for loc in sitemap.select("loc")] == (
        server.shop.public_paths()
    )


# The example spiders


def test_the_bookshop_spider_finds_what_is_expected(
    server: DemoServer, browser: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", server.url)
    log_in(browser, server)
    items = crawl(example("bookshop").Bookshop(), browser)
    shop = server.shop
    for kind, expected in [
        ("book", shop.expected_books(server.url)),
        ("order", shop.expected_orders()),
    ]:
        assert [item for item in items if item["kind"] == kind] == expected


def test_the_first_spider_finds_every_book(server: DemoServer, browser: requests.Session) -> None:
    spider = example("books").Books()
    spider.start_urls = [f"{server.url}/books/"]
    assert crawl(spider, browser) == [
        {"title": book.title, "price": money(book.price)} for book in server.shop.books
    ]


# The login


def test_orders_need_the_account(server: DemoServer, browser: requests.Session) -> None:
    response = browser.get(f"{server.url}/orders?page=2", allow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (
        302,
        "/login?next=/orders%3Fpage%3D2",
    )


def test_login_leads_on_to_where_one_was_going(
    server: DemoServer, browser: requests.Session
) -> None:
    response = log_in(browser, server, next="/orders?page=2")
    assert [hop.status_code for hop in response.history] == [303]
    assert response.url == f"{server.url}/orders?page=2"
    assert text(BeautifulSoup(response.content, "lxml"), ".user") == "reader"
    assert server.counters.logins == 1


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil", ""])
def test_login_leads_nowhere_else(
    server: DemoServer, browser: requests.Session, elsewhere: str
) -> None:
    assert log_in(browser, server, next=elsewhere).url == f"{server.url}/orders"


@pytest.mark.parametrize("wrong", [{"password": "x"}, {"user": "x"}, {"password": "démo"}])
def test_wrong_password(
    server: DemoServer, browser: requests.Session, wrong: dict[str, str]
) -> None:
    response = log_in(browser, server, **wrong)
    assert response.status_code == 200
    assert text(BeautifulSoup(response.content, "lxml"), ".error") == "Wrong user or password."
    assert server.counters.logins == 0


def test_a_login_needs_the_form_of_its_own_session(
    server: DemoServer, browser: requests.Session
) -> None:
    assert log_in(browser, server, csrf="made up").status_code == 403
    browser.cookies.clear()
    fields = {"user": "reader", "password": "demo"}
    assert browser.post(f"{server.url}/login", data=fields).status_code == 403


def test_a_login_gets_a_new_cookie(server: DemoServer, browser: requests.Session) -> None:
    page(browser, f"{server.url}/login")
    before = browser.cookies["shop_session"]
    log_in(browser, server)
    assert browser.cookies["shop_session"] != before


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_logging_out(server: DemoServer, browser: requests.Session, method: str) -> None:
    log_in(browser, server)
    browser.request(method, f"{server.url}/logout")
    assert "shop_session" not in browser.cookies
    assert browser.get(f"{server.url}/orders").url.startswith(f"{server.url}/login")


# Sessions that end


def test_ending_all_sessions(server: DemoServer, browser: requests.Session) -> None:
    log_in(browser, server)
    server.end_sessions()
    assert browser.get(f"{server.url}/orders").url.startswith(f"{server.url}/login")
    assert log_in(browser, server).url == f"{server.url}/orders"
    assert server.counters.logins == 2


def test_a_session_of_a_few_requests(shop: Shop, browser: requests.Session) -> None:
    with DemoServer(shop, session_requests=3) as server:
        log_in(browser, server)  # and the redirect to /orders is the first
        users = [browser.get(f"{server.url}/orders").url for _ in range(3)]
    assert [urlsplit(url).path for url in users] == ["/orders", "/orders", "/login"]


def test_a_session_of_no_time_at_all(shop: Shop, browser: requests.Session) -> None:
    with DemoServer(shop) as server:
        log_in(browser, server)
        server.sessions.max_seconds = 0.0
        assert browser.get(f"{server.url}/orders").url.startswith(f"{server.url}/login")


def test_rotating_cookies(shop: Shop, browser: requests.Session) -> None:
    with DemoServer(shop, rotate_cookies=True) as server:
        log_in(browser, server)
        cookies = []
        for _ in range(3):
            assert browser.get(f"{server.url}/orders").url == f"{server.url}/orders"
            cookies.append(browser.cookies["shop_session"])
        assert len(set(cookies)) == 3
        for cookie, status in [(cookies[1], 200), (cookies[2], 200), (cookies[0], 302)]:
            response = requests.get(
                f"{server.url}/orders", cookies={"shop_session": cookie}, allow_redirects=False
            )
            assert response.status_code == status


# HTTP and the log


def test_one_connection_serves_many_requests(server: DemoServer, browser: requests.Session) -> None:
    for path in ("/", "/books/", "/nothing", "/orders"):
        browser.get(server.url + path)
    browser.head(f"{server.url}/books/")
    assert server.counters.connections == 1
    assert {visit.connection for visit in server.log} == {1}


def test_every_answer_says_how_long_it_is(server: DemoServer, browser: requests.Session) -> None:
    for path in ("/", "/orders", "/books", "/nothing", "/robots.txt"):
        response = browser.get(server.url + path, allow_redirects=False)
        assert int(response.headers["Content-Length"]) == len(response.content)


def test_the_log(server: DemoServer, browser: requests.Session) -> None:
    log_in(browser, server)
    browser.get(f"{server.url}/orders?page=2")
    assert [(visit.method, visit.target, visit.user, visit.status) for visit in server.log] == [
        ("GET", "/login", None, 200),
        ("POST", "/login", None, 303),
        ("GET", "/orders", "reader", 200),
        ("GET", "/orders?page=2", "reader", 200),
    ]
    assert server.log[-1].cookie == browser.cookies["shop_session"]
    assert server.counters.requests == {"/login": 2, "/orders": 2}
    assert all(
        before.finished <= after.started
        for before, after in zip(server.log, server.log[1:], strict=False)
    )


def test_most_at_once(shop: Shop) -> None:
    together = threading.Barrier(3, timeout=PATIENCE)

    def wait_for_all(ask: Ask) -> None:
        together.wait()

    with DemoServer(shop, instead=wait_for_all) as server, ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(requests.get, [f"{server.url}/"] * 3))
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert server.counters.most_at_once == 3
        assert server.counters.at_once == 0


def test_latency(shop: Shop) -> None:
    with DemoServer(shop, latency=0.02) as server:
        requests.get(server.url)
        assert server.log[0].finished - server.log[0].started >= 0.02


def test_an_answer_instead(shop: Shop, browser: requests.Session) -> None:
    def busy(ask: Ask) -> Answer | None:
        return Answer(status=503) if ask.path == "/books/" else None

    with DemoServer(shop, instead=busy) as server:
        assert browser.get(f"{server.url}/books/").status_code == 503
        assert browser.get(f"{server.url}/").status_code == 200


def test_forms_that_are_too_long_or_of_unknown_length(
    server: DemoServer, browser: requests.Session
) -> None:
    assert browser.post(f"{server.url}/login", data=b"x" * 70_000).status_code == 413
    assert browser.post(f"{server.url}/login", data=iter([b"x"])).status_code == 411


def test_a_shop_that_stops_hangs_up_and_comes_back(shop: Shop, browser: requests.Session) -> None:
    server = DemoServer(shop).start()
    log_in(browser, server)
    server.stop()
    server.stop()
    with pytest.raises(requests.ConnectionError):
        browser.get(server.url)
    url = server.url
    with server:
        assert server.url == url
        assert browser.get(f"{server.url}/orders").url == f"{url}/orders"


def test_a_port_that_is_taken_is_named(server: DemoServer) -> None:
    with pytest.raises(UsageError, match=f"port {server.port}.*choose another port"):
        DemoServer(server.shop, port=server.port).start()


# The guided tour


BOOK = {"kind": "book", "title": "The Quiet Teapot"}
ORDER = {"kind": "order", "order": "1001"}


@pytest.mark.parametrize(
    ("found", "duplicates", "missing", "wrong"),
    [
        ([ORDER, BOOK], 0, 0, 0),
        ([ORDER, BOOK, BOOK], 1, 0, 0),
        ([BOOK], 0, 1, 0),
        ([BOOK, {**ORDER, "total": "€0.00"}], 0, 1, 1),
    ],
)
def test_findings(found: list[Any], duplicates: int, missing: int, wrong: int) -> None:
    findings = Findings.of(found, [BOOK, ORDER])
    assert (findings.duplicates, findings.missing, findings.wrong) == (duplicates, missing, wrong)
    assert findings.are_right == (found == [ORDER, BOOK])


def test_the_tour_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert tour(Shop(books=150, orders=60)) == 0
    shown = capsys.readouterr().out
    assert re.search(r"books +150 of 150\n +orders +60 of 60\n +duplicates +0\n", shown), shown
    assert re.search(r"logins +1,", shown), shown
