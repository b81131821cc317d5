"""The jar that tracks its changes."""

from __future__ import annotations

import http.cookiejar
import pickle
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any, NamedTuple
from urllib.request import Request as UrllibRequest

import pycurl
import pytest
import requests
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from requests.cookies import RequestsCookieJar, merge_cookies

from crawler import urls
from crawler.errors import SpiderError
from crawler.http import cookie_jar
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.curl import handle
from crawler.http.deadline import FetchContext
from crawler.http.set_cookie import CookieOrigin, parse_line, path_matches
from crawler.records import Cookie
from crawler.request import Request
from crawler.session.session import Session
from crawler.settings import Settings
from tests.conformance import expect_misses, rows

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
    """Return the cookies of the scheduling process after it has applied ``changes``."""
    known: dict[Any, Cookie] = {}
    for change in changes:
        if change.value is None:
            known.pop(change.key, None)
        else:
            known[change.key] = change
    return list(known.values())


def test_changes_by_a_response_are_popped_once_in_order() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1", "b=2; Path=/; Secure; HttpOnly; Domain=shop.example")
    a, b = jar.pop_changes()
    assert a == Cookie("a", "1", "shop.example", "/cart")
    assert b == Cookie("b", "2", ".shop.example", "/", secure=True, http_only=True, host_only=False)
    assert jar.pop_changes() == []
    assert sent(jar) == {"a": "1", "b": "2"}


def test_a_value_that_changes_is_a_change_each_time() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1")
    receive(jar, "a=2")
    assert names(jar.pop_changes()) == [("a", "1"), ("a", "2")]
    receive(jar, "a=3")
    assert names(jar.pop_changes()) == [("a", "3")]


@pytest.mark.parametrize(
    "end", ["a=; Max-Age=0", "a=x; Max-Age=-1", "a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_a_cookie_that_a_response_ends_is_a_deletion(end: str) -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1")
    jar.pop_changes()
    receive(jar, end)
    assert names(jar.pop_changes()) == [("a", None)]
    assert sent(jar) == {}
    receive(jar, end)
    assert jar.pop_changes() == [], "there was nothing to delete"


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
        jar = ChangeTrackingCookieJar()
        receive(jar, "a=1")
        receive(jar, "other=1; Max-Age=1000", url="https://other.example/")
        jar.pop_changes()
        delete(jar)
        assert ("a", None) in names(jar.pop_changes())
        assert sent(jar) == {}


def test_deleting_what_is_not_there_is_an_error_as_in_requests_and_no_change() -> None:
    jar = ChangeTrackingCookieJar()
    with pytest.raises(KeyError):
        jar.clear("nowhere.example", "/", "a")
    assert jar.pop_changes() == []


def test_a_cookie_whose_time_is_over_is_a_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1; Max-Age=60", "b=2; Max-Age=600")
    (a, _) = jar.pop_changes()
    assert a.expires is not None
    assert a.expires > time.time()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    jar.clear_expired_cookies()
    assert names(jar.pop_changes()) == [("a", None)]
    assert sent(jar) == {"b": "2"}


def test_a_session_sets_cookies_by_hand() -> None:
    session = requests.Session()
    session.cookies = jar = ChangeTrackingCookieJar()
    session.cookies.set("token", "x", domain="shop.example", path="/")
    session.cookies["plain"] = "y"
    session.cookies.update({"more": "z"})
    assert names(jar.pop_changes()) == [("token", "x"), ("plain", "y"), ("more", "z")]


def test_a_copy_for_one_request_changes_nothing() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1")
    jar.pop_changes()
    merged: Any = merge_cookies(jar.copy(), {"b": "2"})  # type: ignore[no-untyped-call]
    assert len(list(merged)) == 2
    assert jar.pop_changes() == []


def test_a_jar_can_be_pickled_as_in_requests() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1")
    assert sent(pickle.loads(pickle.dumps(jar))) == {"a": "1"}


# Taking over what the store has


def test_loaded_cookies_replace_all_and_are_no_change() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1", "b=2")
    jar.pop_changes()
    jar.load([Cookie("c", "3", "shop.example", "/")])
    assert sent(jar) == {"c": "3"}
    assert jar.pop_changes() == []


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
    jar, other = ChangeTrackingCookieJar(), ChangeTrackingCookieJar()
    receive(jar, line)
    (change,) = jar.pop_changes()
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
    assert other.pop_changes() == []
    receive(other, line.replace("a=", "a=x", 1))
    assert len(list(other)) == 1, "the same cookie, not a second one"


def test_changes_that_were_not_taken_stay() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "taken=1", "deleted=1")
    jar.pop_changes()
    receive(jar, "fresh=1", "deleted=; Max-Age=0")
    cookies = [Cookie(name, "2", "shop.example", "/cart") for name in ("taken", "deleted", "fresh")]
    jar.load(cookies)
    assert sent(jar) == {"taken": "2", "fresh": "1"}
    assert names(jar.pop_changes()) == [("fresh", "1"), ("deleted", None)]
    jar.load(cookies)
    assert sent(jar) == {"taken": "2", "deleted": "2", "fresh": "2"}


def during_a_load(jar: ChangeTrackingCookieJar, what: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``what`` in another thread half way through a load."""
    as_cookie = cookie_jar._as_cookie
    threads: list[threading.Thread] = []

    def half_way(cookie: Cookie) -> http.cookiejar.Cookie:
        if not threads:
            threads.append(threading.Thread(target=what))
            threads[0].start()
            threads[0].join(0.2)  # it should have to wait, and must get its turn afterwards
        return as_cookie(cookie)

    monkeypatch.setattr(cookie_jar, "_as_cookie", half_way)
    jar.load([Cookie(name, "1", "shop.example", "/") for name in "abc"])
    threads[0].join()


def test_no_thread_sees_a_jar_half_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = ChangeTrackingCookieJar()
    seen: list[Any] = []
    during_a_load(jar, lambda: seen.append(len(list(jar))), monkeypatch)
    assert seen == [3]


def test_a_cookie_that_comes_during_a_load_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    jar = ChangeTrackingCookieJar()
    during_a_load(jar, lambda: receive(jar, "mine=1"), monkeypatch)
    assert names(jar.pop_changes()) == [("mine", "1")]
    assert set(sent(jar)) == {"a", "b", "c", "mine"}


NAMES = st.sampled_from(["a", "b", "c"])


class ChangesAreEnough(RuleBasedStateMachine):
    """A jar, and a record that only gets its changes; another jar may go on from the record."""

    @initialize()
    def begin(self) -> None:
        self.jar = ChangeTrackingCookieJar()
        self.record: dict[tuple[str, str, str], Cookie] = {}
        self.number = 0

    @rule(name=NAMES)
    def a_response_sets(self, name: str) -> None:
        self.number += 1
        receive(self.jar, f"{name}={self.number}; Path=/")

    @rule(name=NAMES)
    def a_response_deletes(self, name: str) -> None:
        receive(self.jar, f"{name}=; Path=/; Max-Age=0")

    @rule()
    def take(self) -> None:
        for change in self.jar.pop_changes():
            if change.value is None:
                self.record.pop(change.key, None)
            else:
                self.record[change.key] = change

    @rule()
    def restart(self) -> None:
        self.take()
        header = self.jar.header(URL)
        self.jar = ChangeTrackingCookieJar()
        self.jar.load(self.record.values())
        assert self.jar.header(URL) == header, "in the same order"

    @invariant()
    def when_all_is_taken_both_have_the_same(self) -> None:
        if not self.jar._changes:
            cookies = {cookie.name: cookie.value for cookie in self.record.values()}
            assert sent(self.jar) == cookies


ChangesAreEnough.TestCase.settings = hypothesis_settings(deadline=None, stateful_step_count=30)
TestChangesAreEnough = ChangesAreEnough.TestCase


# What browsers do and the standard library does not


def test_many_cookies_are_as_many_as_a_browser_keeps() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "login=1; HttpOnly", *(f"c{n}={n}" for n in range(10_000)))
    assert len(list(jar)) == cookie_jar.MAX_OF_DOMAIN
    assert {"login", "c9999", "c9821"} <= sent(jar).keys(), "what keeps the login and the newest"
    assert len(applied(jar.pop_changes())) == cookie_jar.MAX_OF_DOMAIN, (
        "what was given up is a change"
    )


def test_a_jar_of_many_domains_has_an_end() -> None:
    jar = ChangeTrackingCookieJar()
    for host in range(30):
        lines = (f"c{n}={n}" for n in range(150))
        receive(jar, *lines, url=f"https://h{host}.shop.example/")
    assert len(list(jar)) == cookie_jar.MAX_COOKIES
    assert sent(jar, "https://h0.shop.example/") == {}
    assert len(sent(jar, "https://h29.shop.example/")) == 150


def test_a_cookie_that_is_too_long_is_none() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=" + "x" * 1024 * 1024, "b=" + "x" * 4095, "c=" + "x" * 4096)
    assert sent(jar) == {"b": "x" * 4095}
    receive(jar, "d=1; Path=/" + "x" * 1024, "e=1; Max-Age=" + "9" * 5000)
    assert sent(jar).keys() == {"b", "d", "e"}, "an attribute that is too long is none"


@pytest.mark.parametrize("domain", ["example", "co.uk", "github.io", "s3.amazonaws.com"])
def test_a_cookie_for_a_public_suffix_is_refused(domain: str) -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, f"a=1; Domain={domain}", url=f"https://me.{domain}/")
    assert list(jar) == []
    receive(jar, f"a=1; Domain={domain}", url=f"https://{domain}/")
    assert sent(jar, f"https://{domain}/") == {"a": "1"}, "it is that host's alone"
    assert sent(jar, f"https://me.{domain}/") == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
@pytest.mark.parametrize("domain", ["", "; Domain={}", "; Domain=.{}"])
def test_a_host_that_is_no_name_below_others_keeps_its_own(host: str, domain: str) -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1" + domain.format(host), url=f"http://{host}:8080/x")
    (change,) = jar.pop_changes()
    assert change.host_only
    other = ChangeTrackingCookieJar()
    other.load([change])
    assert sent(other, f"http://{host}/") == sent(jar, f"http://{host}/") == {"a": "1"}
    assert sent(jar, f"http://a.{host}/") == {}


def test_a_part_of_an_address_is_no_domain() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1; Domain=0.0.1", "b=1; Domain=1", url="http://127.0.0.1/")
    assert list(jar) == []


def test_plain_http_sets_no_cookie_of_https_and_hides_none() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1; Secure", url="http://shop.example/")
    assert list(jar) == []
    receive(jar, "a=1; Secure; Domain=shop.example; Path=/", url="https://shop.example/")
    receive(jar, "a=2; Domain=shop.example; Path=/", "a=3", url="http://www.shop.example/")
    receive(jar, "a=; Max-Age=0; Domain=shop.example; Path=/", url="http://shop.example/")
    assert sent(jar, "https://www.shop.example/") == {"a": "1"}
    assert sent(jar, "http://www.shop.example/") == {}


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("__Secure-a=1; Secure", True),
        ("__secure-a=1", False),
        ("__Host-a=1; Secure; Path=/", True),
        ("__HOST-a=1; Secure", False),
        ("__Host-a=1; Path=/", False),
        ("__Host-a=1; Secure; Path=/; Domain=shop.example", False),
    ],
)
def test_prefixes_of_cookie_names_are_enforced(line: str, is_kept: bool) -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, line, url="https://shop.example/")
    assert bool(list(jar)) is is_kept


def test_a_cookie_of_one_host_goes_to_no_host_below() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "own=1; Path=/", "all=1; Path=/; Domain=shop.example")
    assert sent(jar, "https://shop.example/") == {"own": "1", "all": "1"}
    assert sent(jar, "https://www.shop.example/") == {"all": "1"}


def test_a_cookie_set_by_hand_goes_where_requests_sends_it() -> None:
    jar = ChangeTrackingCookieJar()
    jar.set("named", "1", domain="shop.example", path="/")
    jar.set("dotted", "1", domain=".shop.example", path="/")
    jar.set("every", "1")
    jar.set("local", "1", domain="localhost")
    for url in ("https://shop.example/", "https://www.shop.example/"):
        assert sent(jar, url) == {"named": "1", "dotted": "1", "every": "1"}
    assert sent(jar, "https://myshop.example/") == {"every": "1"}
    assert sent(jar, "http://localhost:8000/") == {"every": "1", "local": "1"}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("line", ["n{}=v; Path=/", "n=v; Path=/{}", "n=v"])
def test_each_line_is_compared_with_no_more_cookies_than_the_last(
    scheme: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = Counter[str]()

    def counting(path: str, cookie_path: str) -> bool:
        compared[path] += 1
        return path_matches(path, cookie_path)

    monkeypatch.setattr(cookie_jar, "path_matches", counting)
    jar, lines = ChangeTrackingCookieJar(), 2_000
    receive(jar, "first=1; Secure; Path=/", "n=1; Secure; Path=/9", url="https://shop.example/")
    compared.clear()
    receive(jar, *(line.format(number) for number in range(lines)), url=f"{scheme}://shop.example/")
    assert compared.total() <= lines


def test_a_cookie_of_http_replaces_none_of_https_of_its_name_and_path() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1; Secure; Path=/", "b=1; Secure; Path=/deep", url="https://shop.example/")
    receive(jar, "a=2; Path=/", "b=2; Path=/", "b=3; Path=/deep/er", url="http://shop.example/")
    assert sent(jar, "https://shop.example/") == {"a": "1", "b": "2"}
    assert sent(jar, "http://shop.example/deep/er") == {"b": "2"}


def test_a_cookie_set_by_hand_cannot_end_its_line() -> None:
    jar = ChangeTrackingCookieJar()
    with pytest.raises(SpiderError, match="'a' must be one line of text"):
        jar.set("a", "1\r\nX-Evil: 1")
    assert jar.pop_changes() == []


def test_a_value_that_is_no_latin1_goes_out_as_utf8() -> None:
    jar = ChangeTrackingCookieJar()
    jar.set("a", "鳥", domain="shop.example")
    assert jar.header("http://shop.example/").encode("latin-1") == "a=鳥".encode()


def test_a_policy_of_the_spiders_own_is_asked_too() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1; Path=/")
    jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    receive(jar, "b=1; Path=/")
    assert [cookie.name for cookie in jar] == ["a"]
    assert sent(jar) == {}
    assert jar.header(URL) == jar.copy().header(URL) == ""
    jar.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=["shop.example"]))
    assert sent(jar) == {"a": "1"}


def test_a_cookie_whose_time_is_over_is_not_sent_and_deleted() -> None:
    now = [1000.0]
    jar = ChangeTrackingCookieJar(wall=lambda: now[0])
    receive(jar, "a=1; Max-Age=60", "b=2")
    jar.pop_changes()
    now[0] += 61
    assert sent(jar) == {"b": "2"}
    assert names(jar.pop_changes()) == [("a", None)]


def test_no_cookie_lives_for_more_than_400_days() -> None:
    jar = ChangeTrackingCookieJar()
    receive(jar, "a=1; Max-Age=99999999999999999999", "b=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT")
    for change in jar.pop_changes():
        assert change.expires is not None
        assert 399 < (change.expires - time.time()) / 86400 <= 400


def test_the_header_of_a_request_for_itself_wins() -> None:
    session = Session("s", Settings())
    session.cookies.set("kept", '"a\\"b"', domain="shop.example")
    request = requests.Request("GET", "https://shop.example/", cookies={"mine": "1"})
    assert session.prepare_request(request).headers["Cookie"] == 'kept="a\\"b"; mine=1'
    request.headers = {"cookie": "own=1"}
    assert session.prepare_request(request).headers["Cookie"] == "own=1"
    assert len(session.cookies) == 1


HOSTS = st.sampled_from(
    ["shop.example", "www.shop.example", "a.www.shop.example", "other.example", "co.uk", "me.co.uk",
     "127.0.0.1", "localhost"]
)  # fmt: skip
LINES = st.one_of(
    st.text(),
    st.text(st.sampled_from('ab=;, \t"')),
    st.builds(
        "{}=1{}{}{}".format,
        st.sampled_from(["a", "b", "__Host-c"]),
        st.just("") | HOSTS.map("; Domain={}".format),
        st.sampled_from(["", "; Path=/", "; Path=/a", "; path"]),
        st.sampled_from(["", "; Secure", "; Max-Age=60; HttpOnly"]),
    ),
)


@given(
    lines=st.lists(LINES.map(lambda line: re.sub("[\r\n]", " ", line))),
    setter=HOSTS,
    host=HOSTS,
    scheme=st.sampled_from(["http", "https"]),
    path=st.sampled_from(["/", "/a", "/ab"]),
)
def test_no_cookie_goes_where_it_does_not_belong(
    lines: list[str], setter: str, host: str, scheme: str, path: str
) -> None:
    jar, after = ChangeTrackingCookieJar(), ChangeTrackingCookieJar()
    source, target = f"https://{setter}{path}", f"{scheme}://{host}/a"
    receive(jar, *lines, url=source)
    read_alone = [parse_line(line, CookieOrigin.of(source), time.time()) for line in lines]
    known = {cookie.key for cookie in read_alone if cookie is not None}
    assert {(one.domain, one.path, one.name) for one in jar} <= known
    header = jar.header(target)
    assert header.encode("latin-1") is not None
    after.load(applied(jar.pop_changes()))
    assert after.header(target) == header
    if header and host != setter:
        assert any(one.domain_specified for one in jar), "cookies of a whole domain, and only they"
        assert urls.site(target) == urls.site(source)


# The public vectors, over the wire: what a site answers and what it is asked next

VECTORS = rows("cookies/http_state.jsonl")
MISSES = {
    "http-state/DISABLED_PATH0029": "the URL standard leaves escapes as they are",
    "http-state/DISABLED_CHROMIUM0022": "6265bis, section 5.6: a line with a control character is "
    "ignored, and so browsers do today",
}


class Wire:
    """The far end of the next connections, whatever their host: it answers once on each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer = b""
        self._ends: list[socket.socket] = []
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *name: [address])
        on_open = handle.Handle._on_open

        def connect(connecting: handle.Handle, *address: Any) -> int:
            if connecting.route.is_mended:  # a connector has met this wire before
                return on_open(connecting, *address)
            return self._connect()

        monkeypatch.setattr(handle.Handle, "_on_open", connect)
        set_up = handle.set_up

        def set_up_connected(curl: Any, route: Any) -> None:
            set_up(curl, route)
            curl.setopt(pycurl.SOCKOPTFUNCTION, lambda *fd: pycurl.SOCKOPT_ALREADY_CONNECTED)

        monkeypatch.setattr(handle, "set_up", set_up_connected)

    def _connect(self) -> int:
        near, far = socket.socketpair()
        far.sendall(self.answer)
        far.shutdown(socket.SHUT_WR)
        self._ends.append(far)
        return near.detach()

    def asked(self) -> bytes:
        """The bytes that arrived over the latest connection."""
        return self._ends[-1].recv(1_000_000)

    def close(self) -> None:
        for end in self._ends:
            end.close()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire(monkeypatch)
    yield wire
    wire.close()


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


def cookie_line(wire: Wire, session: Session, row: dict[str, Any]) -> str:
    """Return the cookies that a session sends to ``request`` after a response of ``set_from``."""
    lines = "".join(f"Set-Cookie: {line}\r\n" for line in row["set_cookie"])
    wire.answer = HEAD + lines.encode() + b"\r\n"
    session.fetch(Request(row["set_from"]), (5.0, 5.0), FetchContext()).raw.close()
    session.fetch(Request(row["request"]), (5.0, 5.0), FetchContext()).raw.close()
    match = re.search(rb"^Cookie: (.*?)\r$", wire.asked(), re.MULTILINE)
    return match[1].decode() if match else ""


@pytest.mark.parametrize("is_general", [False, True], ids=["direct", "general"])
@pytest.mark.parametrize("row", expect_misses(VECTORS, MISSES))
def test_vectors(wire: Wire, row: dict[str, Any], is_general: bool) -> None:
    session = Session("s", Settings())
    if is_general:
        session.hooks["response"].append(lambda response, **options: response)
    line = cookie_line(wire, session, row)
    session.close()
    assert line == "; ".join(f"{name}={value}" for name, value in row["expect"])
