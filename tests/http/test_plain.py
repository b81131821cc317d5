"""A plain GET goes past requests: the same bytes go out, and the same response comes in."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import urls
from crawler.errors import FetchError
from crawler.fetching.sender import Answer
from crawler.http.adapter import RawResponse
from crawler.http.curl.transfer import MAX_HEADERS
from crawler.http.deadline import FetchContext
from crawler.records import Cookie
from crawler.request import Hop, Request
from crawler.session.session import Session
from crawler.settings import Settings
from tests.sending import answered

SETTINGS = Settings(delay=0, read_timeout=5.0, connect_timeout=5.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Tape(socketserver.ThreadingTCPServer):
    """A server that says one thing to whatever it is asked, and keeps what it was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Playing)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Playing(socketserver.StreamRequestHandler):
    server: Tape

    def handle(self) -> None:
        tape = self.server
        tape.connections += 1
        with contextlib.suppress(ConnectionError):
            while lines := self._head():
                tape.heard.append(lines)
                self.wfile.write(tape.answer)
                framed = b"ontent-" in tape.answer or b"chunked" in tape.answer
                if not framed or b"Connection: close" in tape.answer:
                    break  # the end of the connection is that of the body

    def _head(self) -> bytes:
        lines = b""
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines += line
        return lines


@contextmanager
def serving(answer: bytes = OK) -> Iterator[Tape]:
    with Tape(answer) as tape:
        thread = threading.Thread(target=tape.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield tape
        finally:
            while _sessions:
                _sessions.pop().close()
            tape.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def tape() -> Iterator[Tape]:
    with serving() as tape:
        yield tape


_sessions: list[Session] = []


@pytest.fixture(autouse=True)
def close_sessions() -> Iterator[None]:
    yield
    while _sessions:
        _sessions.pop().close()


def session_of(**changes: Any) -> Session:
    session = Session("s", SETTINGS)
    _sessions.append(session)
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def is_plain(session: Session, request: Request) -> bool:
    raw = session.fetch(request, (5.0, 5.0), FetchContext())
    try:
        return isinstance(raw, RawResponse)
    finally:
        raw.raw.close()


def fetch(
    url: str, session: Session | None = None, settings: Settings = SETTINGS
) -> Answer | FetchError:
    """What the fetching process gets."""
    try:
        return answered(Request(url), session or session_of(), settings)
    except FetchError as error:
        return error


def both(answer: bytes) -> tuple[Any, Any]:
    """Return the results of an answer past requests and through requests."""
    seen: list[Any] = []
    with serving(answer) as tape:
        for general in (False, True):
            session = session_of()
            if general:
                session.hooks["response"].append(lambda response, **options: response)
            got = fetch(f"{tape.url}/", session)
            if isinstance(got, Answer):
                cookies = [(c.name, c.value, c.path) for c in session.cookies]
                headers = {name.lower(): value for name, value in got.headers}
                seen.append((got.url, got.status, headers, got.body, cookies))
            else:
                seen.append((got.cause, got.retryable))
            session.close()
    return seen[0], seen[1]


# What goes out


def asked(tape: Tape, session: Session, url: str) -> tuple[bytes, bytes]:
    """The bytes on the wire, past requests and through requests."""
    first = session.fetch(Request(url), (5.0, 5.0), FetchContext())
    assert isinstance(first, RawResponse)
    first.raw.close()
    second = session.send_once(session.prepare(Request(url)), (5.0, 5.0), FetchContext())
    second.close()
    return tape.heard[-2], tape.heard[-1]


@given(
    path=st.text(
        alphabet=st.one_of(
            st.sampled_from("/?&=+%20aZ09-_.~!$'()*,;:@#|^`{}[]<>\"\\ é中"), st.characters()
        ),
        max_size=30,
    )
)
def test_any_url_gives_the_bytes_that_requests_gives(tape: Tape, path: str) -> None:
    url = urls.normalise(f"{tape.url}/{path}")
    if url is None:
        return
    session = session_of()
    first = session.fetch(Request(url), (5.0, 5.0), FetchContext())
    first.raw.close()
    if isinstance(first, RawResponse):
        session.send_once(session.prepare(Request(url)), (5.0, 5.0), FetchContext()).close()
        assert tape.heard[-2] == tape.heard[-1]


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/a/b.html?q=1&r=a+b", "/%C3%A9", "/a%20b?x=%2F", "/@me:1;v=2,3", "/a?b?c"),
        *("/s?sig=a%2Bb%7Ec%2f&x=", "/%7Eu/b", "/bar%2cbaz.pdf", "/100%.html", "/x?"),
        *("/a[1]|b", "/%7e", "/a/%2e%2e/b", "//a//b", "/%zz", "/a^b`c"),
    ],
)
@pytest.mark.parametrize("way", ["crawl", "get", "open"])
def test_urls_are_sent_as_they_were_written(tape: Tape, path: str, way: str) -> None:
    session, url = session_of(), urls.normalise(tape.url + path) or ""
    if way == "crawl":
        first, second = asked(tape, session, url)
        assert first == second
    else:
        getattr(session, way)(url)
    assert tape.heard[-1].startswith(f"GET {url[len(tape.url) :]} HTTP/1.1\r\n".encode())


def test_headers_and_cookies_of_the_session_go_along(tape: Tape) -> None:
    session = session_of()
    session.credentials.name(tape.url)
    session.headers["X-Token"] = "käse"
    session.headers["Accept-Encoding"] = None  # type: ignore[assignment] # left out
    session.cookies.load([Cookie("sid", "1", "127.0.0.1", "/"), Cookie("a", "b", "x.test", "/")])
    first, second = asked(tape, session, f"{tape.url}/page")
    assert b"Cookie: sid=1" in first
    assert "X-Token: käse".encode("latin-1") in first
    assert first == second
    assert b"accept-encoding" not in first.lower()


def test_settings_of_the_session_apply_at_once(tape: Tape) -> None:
    session = session_of()
    session.credentials.name(tape.url)
    asked(tape, session, f"{tape.url}/")
    session.headers["X-New"] = "1"
    first, second = asked(tape, session, f"{tape.url}/")
    assert b"X-New: 1" in first
    assert first == second


# What goes the general way


@pytest.mark.parametrize(
    "change",
    [
        {"auth": ("user", "password")},
        {"params": {"a": "b"}},
        {"headers": {"Host": "else.example"}},
        {"headers": {"X": b"bytes"}},
    ],
    ids=str,
)
def test_an_unusual_session_goes_through_requests(
    tape: Tape, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    session = session_of(**change)
    monkeypatch.setattr(session, "send_once", lambda *args: sent.append(args))
    session.fetch(Request(f"{tape.url}/"), (5.0, 5.0), FetchContext())
    assert len(sent) == 1


@pytest.mark.parametrize(
    "request_",
    [
        Request("http://x.test/", method="POST"),
        Request("http://x.test/", headers={"Referer": "http://x.test/a"}),
        Request("http://x.test/", cookies={"a": "b"}),
        Request("http://x.test/", history=[Hop("https://y.test/", 302)]),
        Request("http://user:word@x.test/"),
    ],
    ids=str,
)
def test_an_unusual_request_goes_through_requests(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    session = session_of()
    monkeypatch.setattr(session, "send_once", lambda *args: sent.append(args))
    session.fetch(request_, (5.0, 5.0), FetchContext())
    assert len(sent) == 1


def test_hooks_and_adapters_of_the_spider_are_used(tape: Tape) -> None:
    from requests.adapters import HTTPAdapter

    session = session_of()
    assert is_plain(session, Request(f"{tape.url}/"))
    session.mount(f"{tape.url}/api/", HTTPAdapter())
    assert not is_plain(session, Request(f"{tape.url}/api/1"))
    assert is_plain(session, Request(f"{tape.url}/"))
    session.hooks["response"].append(lambda response, **options: response)
    assert not is_plain(session, Request(f"{tape.url}/"))


def test_a_site_that_the_login_has_not_visited_goes_the_guarded_way(tape: Tape) -> None:
    session = session_of()
    session.credentials.visit("https://shop.test/")
    session.headers["X-Token"] = "secret"
    assert not is_plain(session, Request(f"{tape.url}/"))


def test_the_environment_is_heard(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", tape.url)
    session = session_of()
    assert is_plain(session, Request("http://elsewhere.test/"))
    assert tape.heard[-1].startswith(b"GET http://elsewhere.test/ ")


# What comes in

BODY = b"<p>hello</p>" * 50
PACKED = gzip.compress(BODY)


def head(*lines: str, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{version} {status}", *lines, "", ""]).encode("latin-1")


def chunked(body: bytes, size: int = 50) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


LENGTH = f"Content-Length: {len(BODY)}"
SAME = {
    "plain": head("Content-Type: text/html", LENGTH) + BODY,
    "empty": head("Content-Length: 0"),
    "no content": head("Content-Type: text/html", status="204 No Content"),
    "chunked": head("Transfer-Encoding: chunked") + chunked(BODY),
    "gzip": head("Content-Encoding: gzip", f"Content-Length: {len(PACKED)}") + PACKED,
    "gzip, chunked": head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(PACKED),
    "until the end": head("Connection: close") + BODY,
    "HTTP/1.0": head(version="HTTP/1.0") + BODY,
    "HTTP/1.0 with a length": head(LENGTH, version="HTTP/1.0") + BODY,
    "closing": head(LENGTH, "Connection: close") + BODY,
    "no reason": head(LENGTH, status="200") + BODY,
    "repeated headers": head(LENGTH, "X: 1", "x: 2", "Set-Cookie: a=1", "Set-Cookie: b=2") + BODY,
    "cookies": head(LENGTH, "Set-Cookie: sid=abc; Path=/x; HttpOnly", "Set-Cookie: bad") + BODY,
    "folded": head(LENGTH, "X-Long: a", "\tb", "X: 1") + BODY,
    "latin-1": head(LENGTH, "X: caf\xe9") + BODY,
    "bare newlines": (b"HTTP/1.1 200 OK\n" + LENGTH.encode() + b"\nX: 1\n\n") + BODY,
    "continue": head(status="100 Continue") + head(LENGTH) + BODY,
    "redirect": head("Location: /next", "Content-Length: 0", status="302 Found"),
    "error": head(LENGTH, status="500 Oops") + BODY,
    "bad length": head("Content-Length: some", "Connection: close"),
    "chunked and a length": head("Transfer-Encoding: chunked", "Content-Length: 3") + chunked(BODY),
    "no HTTP": b"hello\r\n\r\nContent-",
    "bad status": b"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
    "bad gzip": head("Content-Encoding: gzip", "Content-Length: 4") + b"nope",
    "bad chunk": head("Transfer-Encoding: chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
    "long headers": head(LENGTH, *(f"X-{n}: {'y' * 65_000}" for n in range(5))) + BODY,
}


@pytest.mark.parametrize("answer", SAME.values(), ids=SAME)
def test_a_response_is_what_requests_makes_of_it(answer: bytes) -> None:
    direct, general = both(answer)
    assert direct == general
    if answer == SAME["long headers"]:
        assert direct == ("headers too large", False)  # beyond what browsers read, too


def test_headers_behind_a_broken_line_are_read() -> None:
    """A mail's headers end where a line is none; a browser leaves the line out, and so do we."""
    answer = head("no colon at all", ": no name", "Content-Type: text/html", LENGTH) + BODY
    with serving(answer) as tape:
        response = fetch(f"{tape.url}/")
    assert isinstance(response, Answer)
    assert dict(response.headers)["Content-Type"] == "text/html"
    assert response.body == BODY


def test_early_hints_are_no_response() -> None:
    answer = head("Link: </a.css>", status="103 Early Hints") + head(LENGTH) + BODY
    with serving(answer) as tape:
        response = fetch(f"{tape.url}/")
    assert isinstance(response, Answer)
    assert (response.status, response.body) == (200, BODY)


def test_a_thousand_cookies_are_read_and_as_many_kept_as_by_a_browser() -> None:
    lines = [f"Set-Cookie: c{n}={n}" for n in range(1000)]
    session = session_of()
    with serving(head(LENGTH, *lines) + BODY) as tape:
        response = fetch(f"{tape.url}/", session)
    assert isinstance(response, Answer)
    assert [cookie.name for cookie in session.cookies] == [f"c{n}" for n in range(820, 1000)]


@pytest.mark.parametrize("line", [b"X: " + b"y" * MAX_HEADERS, b"X: y\r\n" * (MAX_HEADERS // 6)])
def test_headers_without_end_are_an_error(line: bytes) -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + line + b"\r\n\r\n") as tape:
        error = fetch(f"{tape.url}/")
    assert isinstance(error, FetchError)
    assert (error.cause, error.retryable) == ("headers too large", False)


def test_a_body_that_ends_early_is_truncated() -> None:
    for general in (False, True):
        session = session_of()
        if general:
            session.hooks["response"].append(lambda response, **options: response)
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def say(listener: socket.socket = listener) -> None:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.sendall(head("Content-Length: 100") + b"half")
                connection.close()

            thread = threading.Thread(target=say)
            thread.start()
            error = fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", session)
            thread.join()
        assert isinstance(error, FetchError)
        assert (error.cause, error.retryable) == ("truncated", True)


# Connections


def test_one_connection_serves_both_ways() -> None:
    session = session_of()
    with serving() as tape:
        for _ in range(5):
            assert isinstance(fetch(f"{tape.url}/", session), Answer)
        session.auth = ("user", "word")
        assert isinstance(fetch(f"{tape.url}/", session), Answer)
        assert tape.connections == 1
        assert len(tape.heard) == 6


@pytest.mark.parametrize("answer", ["closing", "until the end", "HTTP/1.0 with a length"])
def test_a_connection_that_the_server_ends_is_not_used_again(answer: str) -> None:
    session = session_of()
    with serving(SAME[answer]) as tape:
        for _ in range(3):
            response = fetch(f"{tape.url}/", session)
            assert isinstance(response, Answer)
            assert response.body == BODY
        assert tape.connections == 3


def test_a_body_that_is_too_large_ends_its_connection() -> None:
    session = session_of()
    with serving(head("Content-Length: 1000000") + bytes(1_000_000)) as tape:
        error = fetch(f"{tape.url}/", session, replace(SETTINGS, max_body=100))
        assert isinstance(error, FetchError)
        assert error.cause == "body too large"
        assert isinstance(fetch(f"{tape.url}/", session), Answer)
        assert tape.connections == 2
