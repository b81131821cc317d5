"""The jar that says what changed."""

from __future__ import annotations

import http.cookiejar
import pickle
import threading
import time
from collections.abc import Callable
from email.message import Message
from typing import Any, NamedTuple
from urllib.request import Request as UrllibRequest

import pytest
import requests
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from requests.cookies import RequestsCookieJar, merge_cookies

from crawler import cookies
from crawler.cookies import RecordingJar
from crawler.messages import Cookie
from tests.conformance import rows

URL = "https://shop.example/cart/"


class Answer(NamedTuple):
    """As much of a response as a cookie jar looks at."""

    headers: Message

    def info(self) -> Message:
        return self.headers


def receive(jar: RequestsCookieJar, *lines: str, url: str = URL) -> None:
    """Take the Set-Cookie lines of a response from ``url``."""
    headers = Message()
    for line in lines:
        headers["Set-Cookie"] = line
    jar.extract_cookies(Answer(headers), UrllibRequest(url))  # type: ignore[arg-type]


def sent(jar: RequestsCookieJar, url: str = URL) -> dict[str, str]:
    """The cookies that would go with a request for ``url``."""
    request = UrllibRequest(url)
    jar.add_cookie_header(request)
    pairs = (pair.partition("=") for pair in (request.get_header("Cookie") or "").split("; "))
    return {name: value for name, _, value in pairs if name}


def names(changes: list[Cookie]) -> list[tuple[str, str | None]]:
    return [(change.name, change.value) for change in changes]


def applied(changes: list[Cookie]) -> list[Cookie]:
    """What whoever keeps the cookies has when it has heard of ``changes``."""
    known: dict[Any, Cookie] = {}
    for change in changes:
        if change.value is None:
            known.pop(change.key, None)
        else:
            known[change.key] = change
    return list(known.values())


def test_what_a_response_sets_is_drained_once_in_order() -> None:
    jar = RecordingJar()
    receive(jar, "a=1", "b=2; Path=/; Secure; HttpOnly; Domain=shop.example")
    a, b = jar.drain()
    assert a == Cookie("a", "1", "shop.example", "/cart")
    assert b == Cookie("b", "2", ".shop.example", "/", secure=True, http_only=True, host_only=False)
    assert jar.drain() == []
    assert sent(jar) == {"a": "1", "b": "2"}


def test_a_value_that_changes_is_a_change_each_time() -> None:
    jar = RecordingJar()
    receive(jar, "a=1")
    receive(jar, "a=2")
    assert names(jar.drain()) == [("a", "1"), ("a", "2")]
    receive(jar, "a=3")
    assert names(jar.drain()) == [("a", "3")]


@pytest.mark.parametrize(
    "end", ["a=; Max-Age=0", "a=x; Max-Age=-1", "a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_a_cookie_that_a_response_ends_is_a_deletion(end: str) -> None:
    jar = RecordingJar()
    receive(jar, "a=1")
    jar.drain()
    receive(jar, end)
    assert names(jar.drain()) == [("a", None)]
    assert sent(jar) == {}
    receive(jar, end)
    assert jar.drain() == [], "there was nothing to delete"


def test_every_way_to_delete_is_seen() -> None:
    ways: list[Callable[[Any], Any]] = [
        lambda jar: jar.clear(),
        lambda jar: jar.clear("shop.example"),
        lambda jar: jar.clear("shop.example", "/cart"),
        lambda jar: jar.clear("shop.example", "/cart", "a"),
        lambda jar: jar.__delitem__("a"),
        lambda jar: jar.set("a", None),
        lambda jar: jar.clear_session_cookies(),
    ]
    for delete in ways:
        jar = RecordingJar()
        receive(jar, "a=1")
        receive(jar, "other=1; Max-Age=1000", url="https://other.example/")
        jar.drain()
        delete(jar)
        assert ("a", None) in names(jar.drain())
        assert sent(jar) == {}


def test_deleting_what_is_not_there_is_an_error_as_in_requests_and_no_change() -> None:
    jar = RecordingJar()
    with pytest.raises(KeyError):
        jar.clear("nowhere.example", "/", "a")
    assert jar.drain() == []


def test_a_cookie_whose_time_is_over_is_a_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = RecordingJar()
    receive(jar, "a=1; Max-Age=60", "b=2; Max-Age=600")
    (a, _) = jar.drain()
    assert a.expires is not None
    assert a.expires > time.time()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    jar.clear_expired_cookies()
    assert names(jar.drain()) == [("a", None)]
    assert sent(jar) == {"b": "2"}


def test_a_session_sets_cookies_by_hand() -> None:
    session = requests.Session()
    session.cookies = jar = RecordingJar()
    session.cookies.set("token", "x", domain="shop.example", path="/")
    session.cookies["plain"] = "y"
    session.cookies.update({"more": "z"})
    assert names(jar.drain()) == [("token", "x"), ("plain", "y"), ("more", "z")]


def test_a_copy_for_one_request_changes_nothing() -> None:
    jar = RecordingJar()
    receive(jar, "a=1")
    jar.drain()
    merged: Any = merge_cookies(jar.copy(), {"b": "2"})  # type: ignore[no-untyped-call]
    assert len(list(merged)) == 2
    assert jar.drain() == []


def test_a_jar_can_be_pickled_as_in_requests() -> None:
    jar = RecordingJar()
    receive(jar, "a=1")
    assert sent(pickle.loads(pickle.dumps(jar))) == {"a": "1"}


# Taking over what another process knows


def test_what_is_loaded_replaces_what_was_there_and_is_no_change() -> None:
    jar = RecordingJar()
    receive(jar, "a=1", "b=2")
    known = applied(jar.drain())
    jar.load([Cookie("c", "3", "shop.example", "/")], heard=len(known))
    assert sent(jar) == {"c": "3"}
    assert jar.drain() == []


@pytest.mark.parametrize(
    "line",
    [
        "a=1",
        "a=1; Path=/",
        "a=1; Domain=shop.example",
        "a=1; Max-Age=1000; Secure; HttpOnly",
        'a="quoted value"',
        "a=",
        "a=b=c",
    ],
)
def test_a_cookie_is_the_same_after_its_journey(line: str) -> None:
    jar, other = RecordingJar(), RecordingJar()
    receive(jar, line)
    (change,) = jar.drain()
    other.load([change])
    for url in (URL, "https://shop.example/", "https://www.shop.example/cart/",
                "http://shop.example/cart/", "https://other.example/cart/"):  # fmt: skip
        assert sent(other, url) == sent(jar, url)
    there: Any = next(iter(other))
    here: Any = next(iter(jar))
    assert (there.expires, there.secure, there.domain_specified, there.value) == (
        here.expires,
        here.secure,
        here.domain_specified,
        here.value,
    )
    assert other.drain() == []
    receive(other, line.replace("a=", "a=x", 1))
    assert len(list(other)) == 1, "the same cookie, not a second one"


def test_own_changes_that_nobody_has_heard_of_stay() -> None:
    jar = RecordingJar()
    receive(jar, "heard=1", "gone=1")
    jar.drain()  # two changes: they are in what is loaded
    receive(jar, "sent=1", "gone=; Max-Age=0")
    jar.drain()  # sent, but not in what is loaded
    receive(jar, "fresh=1")  # not even sent
    news = [Cookie(name, "other", "shop.example", "/cart") for name in ("heard", "gone", "sent")]
    jar.load(news, heard=2)
    assert sent(jar) == {"heard": "other", "sent": "1", "fresh": "1"}
    assert names(jar.drain()) == [("fresh", "1")]
    jar.load(news, heard=4)
    assert sent(jar) == {"heard": "other", "gone": "other", "sent": "other", "fresh": "1"}
    jar.load(news, heard=5)
    assert sent(jar) == {"heard": "other", "gone": "other", "sent": "other"}


def during_a_load(jar: RecordingJar, what: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do ``what`` in another thread when a load is half way through."""
    as_cookie = cookies._as_cookie
    threads: list[threading.Thread] = []

    def half_way(cookie: Cookie) -> http.cookiejar.Cookie:
        if not threads:
            threads.append(threading.Thread(target=what))
            threads[0].start()
            threads[0].join(0.2)  # it should have to wait, and must get its turn afterwards
        return as_cookie(cookie)

    monkeypatch.setattr(cookies, "_as_cookie", half_way)
    jar.load([Cookie(name, "1", "shop.example", "/") for name in "abc"])
    threads[0].join()


def test_nobody_sees_a_jar_half_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = RecordingJar()
    seen: list[Any] = []
    during_a_load(jar, lambda: seen.append(len(list(jar))), monkeypatch)
    assert seen == [3]


def test_a_cookie_that_comes_during_a_load_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = RecordingJar()
    during_a_load(jar, lambda: receive(jar, "mine=1"), monkeypatch)
    assert names(jar.drain()) == [("mine", "1")]
    assert set(sent(jar)) == {"a", "b", "c", "mine"}


NAMES = st.sampled_from(["a", "b", "c"])


class TwoSides(RuleBasedStateMachine):
    """A jar and its keeper, with messages on their way in both directions, in order."""

    @initialize()
    def begin(self) -> None:
        self.jar = RecordingJar()
        self.kept: dict[str, str] = {}
        self.heard = 0
        self.to_keeper: list[list[Cookie]] = []
        self.to_jar: list[tuple[list[Cookie], int]] = []
        self.latest: dict[str, str | None] = {}
        """Own changes that the keeper has not told back yet, the latest of each name."""
        self.number = 0

    @rule(name=NAMES)
    def a_response_sets(self, name: str) -> None:
        self.number += 1
        receive(self.jar, f"{name}={self.number}; Path=/")
        self.latest[name] = str(self.number)

    @rule(name=NAMES)
    def a_response_deletes(self, name: str) -> None:
        receive(self.jar, f"{name}=; Path=/; Max-Age=0")
        if self.latest.get(name) is not None:
            self.latest[name] = None

    @rule()
    def drain(self) -> None:
        changes = self.jar.drain()
        if changes:
            self.to_keeper.append(changes)

    @precondition(lambda self: self.to_keeper)
    @rule()
    def the_keeper_hears(self) -> None:
        changes = self.to_keeper.pop(0)
        self.heard += len(changes)
        for change in changes:
            if change.value is None:
                self.kept.pop(change.name, None)
            else:
                self.kept[change.name] = change.value

    @rule(name=NAMES)
    def another_worker_sets(self, name: str) -> None:
        self.number += 1
        self.kept[name] = str(self.number)

    @rule()
    def the_keeper_tells(self) -> None:
        news = [Cookie(name, value, "shop.example", "/") for name, value in self.kept.items()]
        self.to_jar.append((news, self.heard))

    @precondition(lambda self: self.to_jar)
    @rule()
    def the_jar_hears(self) -> None:
        news, heard = self.to_jar.pop(0)
        before = sent(self.jar)
        self.jar.load(news, heard)
        told = {cookie.name: cookie.value for cookie in news}
        unheard = self.jar._unheard, self.jar._changes
        own = {change.name: change.value for changes in unheard for change in changes}
        assert len(self.jar._unheard) == self.jar._drained - heard
        expected = {name: value for name, value in {**told, **own}.items() if value is not None}
        assert sent(self.jar) == expected
        for name, value in own.items():
            assert before.get(name) == value, "its own last word stays"

    @invariant()
    def when_all_is_told_both_have_the_same(self) -> None:
        if not self.to_keeper and not self.jar._changes and not self.to_jar:
            self.the_keeper_tells()
            self.the_jar_hears()
            assert sent(self.jar) == self.kept


TwoSides.TestCase.settings = hypothesis_settings(deadline=None, stateful_step_count=30)
TestTwoSides = TwoSides.TestCase


# The public vectors


@pytest.mark.parametrize("row", rows("cookies/http_state.jsonl"))
def test_vectors_give_the_same_before_and_after_the_journey(row: dict[str, Any]) -> None:
    """Which of them a jar gets right is the standard library's business, and none of ours."""
    plain, jar, after = RequestsCookieJar(), RecordingJar(), RecordingJar()
    for one in (plain, jar):
        receive(one, *row["set_cookie"], url=row["set_from"])
    after.load(applied(jar.drain()))
    assert sent(jar, row["request"]) == sent(plain, row["request"])
    assert sent(after, row["request"]) == sent(plain, row["request"])
