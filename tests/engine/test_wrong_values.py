"""Whatever a spider yields, sets or raises: the run ends, and each page has come or has failed."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bs4 import BeautifulSoup
from requests.cookies import RequestsCookieJar

from crawler import Request, Spider
from crawler.errors import CrawlerError, FetchError, SpiderError
from crawler.store.sqlite.queue import SQLiteQueue
from tests.jobs import failures, items, rows, run_job, tracebacks, values
from tests.sites import Site, links

TEXT: Any = BeautifulSoup("<p>token</p>", "lxml").p.string  # type: ignore[union-attr]
PAGES = [f"/{number}" for number in range(1, 9)]


class UnspeakableError(Exception):
    """An object, or an error, that cannot be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


def spider_with(callback: Callable[..., Any], **attributes: Any) -> type[Spider]:
    """Return a spider whose page ``/4`` goes to ``callback``; the others are items."""

    class Shop(Spider):
        name = "shop"

        def parse(self, response: Any) -> Iterator[Any]:
            yield {"url": response.url}
            for link in response.links():
                name = "strange" if link.url.endswith("/4") else "parse"
                yield response.follow(link, name)

        def strange(self, response: Any) -> Any:
            return callback(response)

    for name, value in attributes.items():
        setattr(Shop, name, value)
    return Shop


def crawl(folder: Path, site: Site, spider: type[Spider], **settings: Any) -> dict[str, str]:
    """Crawl nine pages; return the causes of those that failed. The others must be items."""
    site.pages["/0"] = links(*PAGES)
    site.otherwise = lambda visit: "page"
    run_job(spider, folder, site.url + "/0", **settings)
    failed = failures(folder)
    came = {"/" + url.rsplit("/", 1)[1] for url in values(items(folder))}
    assert came.isdisjoint(failed)
    assert came | set(failed) >= {"/0", *PAGES}
    assert rows(
        folder, "SELECT count(*) FROM pending WHERE id NOT IN (SELECT id FROM finished)"
    ) == [(0,)]
    return failed


def message(folder: Path) -> str:
    """The message of the only page that failed."""
    ((text,),) = rows(folder, "SELECT message FROM failed")
    return str(text)


# Requests


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"headers": {"X": object()}}, "headers of the request for"),
        ({"headers": {"X": "a\r\nX-Evil: 1"}}, "but it must be one line of text"),
        ({"cookies": {"page": None}}, "'page' is None, but it must be text"),
        ({"priority": 0.5}, "has priority=float 0.5, but it must be a whole number"),
        ({"priority": -(2**63)}, "has priority=int -9223372036854775808, but"),
        ({"dont_filter": "yes"}, "has dont_filter=str 'yes', but it must be True or False"),
        ({"replay": None}, "has replay=None, but it must be True or False"),
        ({"method": "GET /"}, "has method=str 'GET /', but it must be a method of HTTP"),
        ({"callback": 5}, "callback '5' is not a method of Shop"),
        ({"callback": lambda response: None}, "callback '<lambda>' is not a method of Shop"),
        ({"account": "nobody"}, "names the account 'nobody'"),
        ({"cb_kwargs": {"x": UnspeakableError()}}, "['x'] must be plain data"),
        ({"history": "x"}, "cannot be kept"),
    ],
)
def test_a_wrong_request_fails_its_page_alone(
    tmp_path: Path, site: Site, fields: dict[str, Any], reason: str
) -> None:
    def strange(response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield Request(site.url + "/never", **fields)

    folder = tmp_path / "job"
    assert crawl(folder, site, spider_with(strange)) == {"/4": "SpiderError in strange()"}
    assert message(folder).startswith(f"{site.url}/4: SpiderError in strange(): ")
    assert reason in message(folder)
    assert not site.visits("/never")


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"X-Page": 5, "X-Token": TEXT, "Accept": None}, "cookies": {"page": 2}},
        {"replay": 0, "dont_filter": 1, "safe": 1, "priority": 2.0, "account": None},
        {"method": " post\n", "data": {TEXT: TEXT}},
        {"callback": None},
    ],
)
def test_a_request_is_taken_for_what_it_means(
    tmp_path: Path, site: Site, fields: dict[str, Any]
) -> None:
    def strange(response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield Request(response.urljoin("/more"), **fields)

    assert crawl(tmp_path / "job", site, spider_with(strange)) == {}
    (visit,) = site.visits("/more")
    if "headers" in fields:
        assert visit.headers["X-Page"] == "5"
        assert visit.headers["X-Token"] == "token"
        assert visit.headers["Accept"] is None
        assert visit.cookies == {"page": "2"}


# What callbacks return and raise


async def awaited(response: Any) -> None:
    raise AssertionError("nothing awaits it")


async def awaited_items(response: Any) -> Any:
    yield {"url": response.url}


def raising(error: BaseException) -> Callable[[Any], Any]:
    def strange(response: Any) -> Iterator[Any]:
        yield {"url": "never written"}
        yield response.follow("/never")
        raise error

    return strange


def nested(response: Any) -> Iterator[Any]:
    yield ({"url": response.url} for _ in range(2))


def endless(response: Any) -> Any:
    return endless(response)


@pytest.mark.parametrize(
    ("strange", "cause"),
    [
        (raising(SystemExit(1)), "SystemExit in strange()"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt in strange()"),
        (raising(asyncio.CancelledError()), "CancelledError in strange()"),
        (raising(GeneratorExit()), "GeneratorExit in strange()"),
        (raising(MemoryError()), "MemoryError in strange()"),
        (raising(UnspeakableError()), "UnspeakableError in strange()"),
        (raising(StopIteration()), "RuntimeError in strange()"),
        (raising(FetchError(5, None)), "5"),  # type: ignore[arg-type]
        (lambda response: sys.exit("enough"), "SystemExit in strange()"),
        (endless, "RecursionError in strange()"),
        (awaited, "SpiderError in strange()"),
        (awaited_items, "SpiderError in strange()"),
        (nested, "SpiderError in strange()"),
        (lambda response: 5, "SpiderError in strange()"),
        (lambda response: "text", "SpiderError in strange()"),
        (lambda response: [[{"url": 1}]], "SpiderError in strange()"),
        (lambda response: [UnspeakableError()], "SpiderError in strange()"),
        (lambda response: [msgspec.Raw(b"\xff")], "SpiderError in strange()"),
    ],
)
def test_whatever_a_callback_raises_or_returns_fails_its_page_alone(
    tmp_path: Path, site: Site, strange: Callable[[Any], Any], cause: str
) -> None:
    folder = tmp_path / "job"
    assert crawl(folder, site, spider_with(strange)) == {"/4": cause}
    assert not site.visits("/never")


def test_a_callback_may_change_the_request_of_its_response(tmp_path: Path, site: Site) -> None:
    def strange(response: Any) -> None:
        response.request.url = response.request.cb_kwargs = response.request.callback = None
        raise LookupError

    assert crawl(tmp_path / "job", site, spider_with(strange)) == {"/4": "LookupError in strange()"}


def test_links_of_a_page_that_failed_at_its_end_are_followed_from_the_next(
    tmp_path: Path, site: Site
) -> None:
    def strange(response: Any) -> Iterator[Any]:
        yield response.follow("/found-by-two", "parse")
        response.session.state["bad"] = object()

    class Shop(spider_with(strange)):  # type: ignore[misc]
        def parse(self, response: Any) -> Iterator[Any]:
            yield from super().parse(response)
            if response.url.endswith("/8"):
                yield response.follow("/found-by-two", "parse")

    failed = crawl(tmp_path / "job", site, Shop, concurrency=1)
    assert failed == {"/4": "SpiderError in strange()"}
    assert len(site.visits("/found-by-two")) == 1


BROKEN = "javascript:" + "x" * 8_000_000


@pytest.mark.parametrize(
    "strange",
    [
        lambda response: [response.follow(BROKEN)],
        lambda response: [Request(BROKEN)],
        lambda response: [Request(response.url, headers={"X": BROKEN + "\n" + BROKEN})],
        lambda response: [response.form(BROKEN)],
        lambda response: [response.xpath(BROKEN)],
        lambda response: [BROKEN],
        lambda response: BROKEN,
        raising(ValueError(BROKEN)),
        raising(FetchError(BROKEN, BROKEN)),
    ],
)
def test_the_message_of_a_failure_is_short_however_much_is_in_it(
    tmp_path: Path, site: Site, strange: Callable[[Any], Any]
) -> None:
    folder = tmp_path / "job"
    assert list(crawl(folder, site, spider_with(strange))) == ["/4"]
    ((size,),) = rows(
        folder,
        "SELECT length(url) + length(cause) + length(message) + length(traceback) FROM failed",
    )
    assert size < 40_000


# Items


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP


@pytest.mark.parametrize(
    "item",
    [
        LOOP,
        {"a": UnspeakableError()},
        {None: 1},
        {"a": {1j}},
        {(1, 2): 3},
        {"a": b"\xff", "b": object()},
    ],
)
def test_an_item_that_cannot_be_written_is_rejected(
    tmp_path: Path, site: Site, item: dict[Any, Any]
) -> None:
    def strange(response: Any) -> Iterator[Any]:
        yield item
        yield {"url": response.url}

    folder = tmp_path / "job"
    assert crawl(folder, site, spider_with(strange)) == {}
    (line,) = items(folder, "rejected.jsonl")
    assert line["url"] == site.url + "/4"


# Sessions


HOOKS = 'must have functions as "response"'
QUESTION = "needs 5"
SETTINGS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda session: session.headers.update({"X": {1}}), "session.headers: 'X' is set {1}, but"),
    (lambda session: session.headers.update({"X": "a\nb"}), "but it must be one line of text"),
    (lambda session: session.headers.update({5: "b"}), "session.headers: the name is int 5"),
    (lambda session: setattr(session, "headers", 5), "session.headers: int 5 is no dict"),
    (lambda session: setattr(session, "headers", {"X": [1]}), "'X' is list [1], but it must be"),
    (lambda session: session.cookies.set("a", [1]), "the cookie 'a' has a value of the type list"),
    (lambda session: session.cookies.set("a", "\ud800"), "half of a character"),
    (lambda session: session.cookies.set("a", "b", expires="soon"), "to float: 'soon'"),
    (lambda session: setattr(session, "cookies", 5), "but must be a jar or a dict"),
    (lambda session: session.state.update(a=object()), "['a'] must be plain data"),
    (lambda session: session.state.update(a="\ud800"), "['a'] must be plain data"),
    (lambda session: session.state.update(a=LOOP), "it contains itself"),
    (lambda session: session.state.update(a=[2**70]), "['a'][0] must be plain data"),
    (lambda session: setattr(session, "state", [1]), "session.state is a value of the type list"),
    (lambda session: setattr(session, "auth", "me:secret"), "must be a pair of user and password"),
    (lambda session: setattr(session, "proxies", "http://p"), "session.proxies is a value of the"),
    (lambda session: setattr(session, "verify", 5), "it must be True, False or the path"),
    (lambda session: setattr(session, "cert", 5), "it must be the path of a certificate"),
    (lambda session: setattr(session, "params", 5), "session.params is"),
    (lambda session: setattr(session, "hooks", {"response": 5}), HOOKS),
    (lambda session: setattr(session, "timeout", "10"), "it must be a number of seconds"),
    (lambda session: setattr(session, "max_redirects", None), "it must be a whole number"),
    (lambda session: sys.exit(1), "SystemExit: 1"),
    (lambda session: (_ for _ in ()).throw(KeyboardInterrupt), "KeyboardInterrupt: "),
    (lambda session: (_ for _ in ()).throw(UnspeakableError), "str() raises ZeroDivisionError"),
    (lambda session: session.ask(5), QUESTION),
]


@pytest.mark.parametrize("place", ["login", "prepare"])
@pytest.mark.parametrize(("act", "reason"), SETTINGS)
def test_a_wrong_value_of_a_session_is_the_message_of_the_run(
    tmp_path: Path, site: Site, act: Callable[[Any], Any], reason: str, place: str
) -> None:
    site.otherwise = lambda visit: "page"
    spider = spider_with(lambda response: None)
    setattr(spider, place, lambda self, session: act(session))
    if place == "prepare" and reason == QUESTION:
        reason = "InputRequiredError: "
    for _ in range(2):  # and a resume does the same
        summary = run_job(spider, tmp_path / "job", site.url + "/0")
        (said,) = summary.login_errors
        assert reason in said
        assert "secret" not in said
        assert said.startswith(
            "login of shop " if place == "login" else "prepare() of shop failed: "
        )
    assert summary.counters.pending == 1


@pytest.mark.parametrize(
    ("act", "reason"), [row for row in SETTINGS if row[1] not in (HOOKS, QUESTION)]
)
def test_a_wrong_value_of_a_session_in_a_callback_fails_its_page_alone(
    tmp_path: Path, site: Site, act: Callable[[Any], Any], reason: str
) -> None:
    folder = tmp_path / "job"
    spider = spider_with(lambda response: act(response.session))
    assert list(crawl(folder, site, spider)) == ["/4"]
    assert reason in message(folder) + tracebacks(folder)


def log_in(self: Spider, session: Any) -> None:
    """Log in as a beginner does, with the strings of BeautifulSoup and with numbers."""
    session.headers["X-CSRF"] = TEXT
    session.headers["X-Version"] = 2
    session.headers["X-Off"] = None
    session.headers["X-Line"] = "  spread\n"
    session.cookies["csrf"] = TEXT
    session.cookies["page"] = 2
    session.state["csrf"] = TEXT
    session.state[TEXT] = [TEXT, {1, 2}, (3,)]
    session.auth = ["me", 5]
    session.verify = 1
    session.proxies = None
    session.params = None
    session.hooks = None
    session.timeout = [3, 30]


def test_values_of_a_session_are_taken_for_what_they_mean(tmp_path: Path, site: Site) -> None:
    def strange(response: Any) -> Iterator[Any]:
        session = response.session
        yield {"url": response.url, "state": session.state, "headers": dict(session.headers)}

    spider = spider_with(strange, login=log_in)
    for folder in (tmp_path / "job", tmp_path / "job"):
        assert crawl(folder, site, spider) == {}
    (item,) = (item for item in items(tmp_path / "job") if "state" in item)
    assert item["state"] == {"csrf": "token", "token": ["token", [1, 2], [3]]}
    visit = site.visits("/4")[-1]
    assert [visit.headers[name] for name in ("X-CSRF", "X-Version", "X-Off", "X-Line")] == [
        *("token", "2", None, "spread")
    ]
    assert visit.cookies == {"csrf": "token", "page": "2"}
    assert visit.headers["Authorization"] == "Basic bWU6NQ=="


@pytest.mark.parametrize("kind", ["dict", "jar"])
def test_other_cookies_may_be_set_in_the_place_of_a_jar(
    tmp_path: Path, site: Site, kind: str
) -> None:
    def log_in(self: Spider, session: Any) -> None:
        jar = RequestsCookieJar()
        jar["who"] = "me"
        session.cookies["old"] = "1"
        session.cookies = {"who": "me"} if kind == "dict" else jar

    spider = spider_with(lambda response: {"url": response.url}, login=log_in)
    assert crawl(tmp_path / "job", site, spider) == {}
    assert {visit.headers["Cookie"] for visit in site.visits("/5")} == {"who=me"}


# Requests that an earlier version has stored


def stored(folder: Path, site: Site, **wrong: Any) -> None:
    """Crawl one page of nine; wrong values are in the request for ``/4`` as it is stored."""
    site.pages["/0"] = links(*PAGES)
    add = SQLiteQueue.add

    def add_wrong(queue: SQLiteQueue, requests: Any, first: int) -> Any:
        for _, new in requests:
            fields = msgspec.msgpack.decode(new.request)
            if fields["url"].endswith("/4"):
                new.rank = -wrong.get("priority", 0)
                new.request = wrong.get("bytes", msgspec.msgpack.encode({**fields, **wrong}))
        return add(queue, requests, first)

    spider = spider_with(lambda response: {"url": response.url})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLiteQueue, "add", add_wrong)
        run_job(spider, folder, site.url + "/0", max_pages=1)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"priority": 0.5}, "has priority=float 0.5, but it must be a whole number"),
        ({"headers": {"X": [1]}}, "'X' is list [1], but it must be text"),
        ({"dont_filter": "yes"}, "has dont_filter=str 'yes', but it must be True or False"),
        ({"url": 5}, "a request has url=int 5"),
        ({"history": 5}, "the stored request is unreadable"),
        ({"bytes": b"\xff\xff"}, "the stored request is unreadable"),
        ({"bytes": b""}, "the stored request is unreadable"),
        ({"bytes": b"\x91\x01"}, "the stored request is unreadable"),
        ({"bytes": b"\x81\xa3url"}, "the stored request is unreadable"),
    ],
)
@pytest.mark.parametrize("logs_in", [False, True])
def test_a_stored_request_that_is_unreadable_fails_alone(
    tmp_path: Path, site: Site, wrong: dict[str, Any], reason: str, logs_in: bool
) -> None:
    folder = tmp_path / "job"
    stored(folder, site, **wrong)
    spider = spider_with(lambda response: {"url": response.url})
    if logs_in:
        spider.login = lambda self, session: None  # type: ignore[method-assign,misc]
    site.otherwise = lambda visit: "page"
    run_job(spider, folder, site.url + "/0")
    assert failures(folder) == {"/": "unreadable request"}
    assert reason in message(folder)
    came = {"/" + url.rsplit("/", 1)[1] for url in values(items(folder))}
    assert came == {"/0", *PAGES} - {"/4"}
    assert not site.visits("/4")


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": {"X-Page": 5}},
        {"cookies": {"page": 2}},
        {"dont_filter": 1},
        {"safe": 1},
        {"priority": 1.0},
        {"account": None},
    ],
)
def test_a_stored_request_goes_out_with_the_values_that_it_means(
    tmp_path: Path, site: Site, wrong: dict[str, Any]
) -> None:
    folder = tmp_path / "job"
    stored(folder, site, **wrong)
    spider = spider_with(lambda response: {"url": response.url})
    site.otherwise = lambda visit: "page"
    run_job(spider, folder, site.url + "/0")
    assert failures(folder) == {}
    (visit,) = site.visits("/4")
    assert visit.headers["X-Page"] == ("5" if "headers" in wrong else None)
    assert visit.cookies == ({"page": "2"} if "cookies" in wrong else {})


# What a class says of itself, and its end


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"allowed_domains": 5}, "allowed_domains must be a list such as"),
        ({"allowed_domains": [None]}, "allowed_domains must hold names such as"),
        ({"logout_urls": 5}, "logout_urls holds 5: give text that stands in the URL"),
        ({"safe_urls": [None]}, "safe_urls holds None: give text"),
        ({"logged_out_text": 5}, "logged_out_text holds 5: give text that stands in the page"),
        ({"logged_out_text": [None]}, "logged_out_text holds None: give text"),
        ({"member_mark": 5}, "member_mark is 5, which is no CSS selector: it must be text"),
        ({"member_mark": "a["}, "member_mark is 'a[', which is no CSS selector: "),
        ({"probe_url": 5}, "probe_url is 5, but must be a URL"),
        ({"user_agent": "shop €"}, "user_agent must be one line of printable text in Latin-1"),
    ],
)
def test_a_wrong_attribute_of_a_spider_is_named_at_the_start(
    tmp_path: Path, site: Site, attributes: dict[str, Any], reason: str
) -> None:
    spider = spider_with(lambda response: None, login=log_in, **attributes)
    with pytest.raises(CrawlerError, match=re.escape(reason)):
        run_job(spider, tmp_path / "job", site.url + "/0")
    assert site.log == []


def test_attributes_that_are_none_are_those_that_are_not_given(tmp_path: Path, site: Site) -> None:
    names = ("allowed_domains", "logout_urls", "safe_urls", "logged_out_text", "probe_url")
    nothing = {**dict.fromkeys(names), "member_mark": None, "login": log_in}
    spider = spider_with(lambda response: {"url": response.url}, **nothing)
    assert crawl(tmp_path / "job", site, spider) == {}


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1), UnspeakableError()])
def test_an_error_of_closed_is_named_when_all_is_kept(
    tmp_path: Path, site: Site, error: BaseException
) -> None:
    def closed(self: Spider, stats: dict[str, Any]) -> None:
        raise error

    spider = spider_with(lambda response: {"url": response.url}, closed=closed)
    with pytest.raises(SpiderError, match=r"Shop.closed\(\) failed: .*all that it did is kept"):
        crawl(tmp_path / "job", site, spider)
    del spider.closed
    assert crawl(tmp_path / "job", site, spider) == {}
    assert site.asked["/1"] == 1
