"""``response.session`` in a callback: the calls are pickled, and made by the real session."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from crawler import Session, Spider
from crawler.errors import FetchError, InputRequiredError, SpiderError
from crawler.fetching.calls import answer_call
from crawler.session.accounts import Account
from crawler.session.masking import Mask
from crawler.settings import Settings
from crawler.worker.remote_session import RemoteSession
from tests.jobs import failures, items, run_job
from tests.sites import JITTER, Reply, Site, Visit, closed_port, links, redirect

pytestmark = pytest.mark.usefixtures("no_leaks")

MAX_BODY = 1_000_000
Here = tuple[Session, RemoteSession]


@pytest.fixture
def here() -> Iterator[Here]:
    """A session, and how a callback sees it."""
    with Session("s", Settings(delay=0, allow_private=True, max_body=MAX_BODY)) as session:
        account = Account(name="ann", user="ann")

        def call(key: str, pickled: bytes) -> bytes:
            assert key == "s"
            return answer_call(session, pickled)[0]

        yield session, RemoteSession("s", account, Mask(), call)


def calls_of(remote: RemoteSession) -> list[str]:
    """Return a list that is filled with the names of the calls that are made."""
    names: list[str] = []
    make = remote._call

    def counting(key: str, pickled: bytes) -> bytes:
        names.append(pickle.loads(pickled)[0])
        result: bytes = make(key, pickled)
        return result

    vars(remote)["_call"] = counting
    return names


def echo(visit: Visit) -> Reply:
    """A page that says how it was asked for."""
    cookies = "; ".join(f"{name}={value}" for name, value in sorted(visit.cookies.items()))
    body = f"{visit.method} {visit.path} {visit.body.decode('latin-1')} [{cookies}]"
    return Reply(body, headers=(("Content-Type", "text/plain"),))


# Requests


def test_every_method_of_requests(site: Site, here: Here) -> None:
    site.otherwise = echo
    _, remote = here
    for method in ("get", "options", "post", "put", "patch", "delete"):
        response = getattr(remote, method)(f"{site.url}/x")
        assert (response.status_code, response.ok) == (200, True)
        assert response.text.startswith(f"{method.upper()} /x")
    assert remote.head(f"{site.url}/x").content == b""
    assert remote.request("GET", f"{site.url}/x", {"a": "b"}).text == "GET /x?a=b  []"


def test_arguments_of_requests(site: Site, here: Here) -> None:
    site.otherwise = echo
    _, remote = here
    post = f"{site.url}/post"
    assert remote.get(post, params={"q": "ü"}).text.startswith("GET /post?q=%C3%BC ")
    assert remote.post(post, data={"a": "1"}).text == "POST /post a=1 []"
    assert remote.post(post, json={"a": 1}).text == 'POST /post {"a": 1} []'
    assert remote.post(post, data=io.BytesIO(b"file")).text == "POST /post file []"
    assert remote.post(post, data=iter([b"in ", b"pieces"])).text == "POST /post in pieces []"
    assert remote.get(post, cookies={"k": "v"}).text == "GET /post  [k=v]"
    assert remote.get(post, headers={"X-A": "1"}, timeout=5, verify=True).ok
    assert site.log[-1].headers["X-A"] == "1"
    assert remote.get(post, auth=("ann", "word")).ok
    assert site.log[-1].headers["Authorization"].startswith("Basic ")


def test_files_are_uploaded(site: Site, here: Here, tmp_path: Path) -> None:
    site.otherwise = echo
    _, remote = here
    path = tmp_path / "photo.txt"
    path.write_bytes(b"a picture")
    with path.open("rb") as file:
        remote.post(f"{site.url}/up", files={"image": file})
    body = site.log[-1].body.decode()
    assert 'name="image"; filename="photo.txt"' in body
    assert "a picture" in body
    remote.post(f"{site.url}/up", files=[("x", ("n.csv", io.BytesIO(b"1,2"), "text/csv"))])
    body = site.log[-1].body.decode()
    assert 'name="x"; filename="n.csv"\r\nContent-Type: text/csv' in body
    assert "1,2" in body


def test_a_response_is_as_requests_gives_it(site: Site, here: Here) -> None:
    site.pages = {
        "/old": redirect("/new", 301),
        "/new": Reply('{"a": 1}', 201, (("Content-Type", "application/json"), ("X-Y", "z"))),
    }
    _, remote = here
    response = remote.get(f"{site.url}/old")
    assert response.json() == {"a": 1}
    assert (response.status_code, response.url) == (201, f"{site.url}/new")
    assert response.headers["x-y"] == "z"
    assert [(hop.status_code, hop.url) for hop in response.history] == [(301, f"{site.url}/old")]
    assert response.request.url == f"{site.url}/new"
    assert response.elapsed.total_seconds() > 0
    assert remote.get(f"{site.url}/old", allow_redirects=False).status_code == 301


@pytest.mark.parametrize("way", ["content", "iter_content", "iter_lines", "raw"])
def test_a_streamed_body_is_whole(site: Site, here: Here, way: str) -> None:
    text = b"line\n" * 50_000
    site.pages["/file"] = Reply(text)
    _, remote = here
    with remote.get(f"{site.url}/file", stream=True) as response:
        if way == "content":
            body = response.content
        elif way == "iter_content":
            body = b"".join(response.iter_content(1000))
        elif way == "iter_lines":
            body = b"".join(line + b"\n" for line in response.iter_lines())
        else:
            response.raw.decode_content = True
            file = io.BytesIO()
            shutil.copyfileobj(response.raw, file)
            body = file.getvalue()
    assert body == text


def test_a_prepared_request(site: Site, here: Here) -> None:
    site.pages["/away"] = redirect("/x")
    site.otherwise = echo
    session, remote = here
    session.headers["X-Own"] = "1"
    session.freeze_defaults()  # or it would be one that a login sets, which is for its sites only
    prepared = remote.prepare_request(requests.Request("POST", f"{site.url}/x", data={"a": "b"}))
    assert prepared.headers["X-Own"] == "1"
    prepared.headers["X-More"] = "2"
    assert remote.send(prepared).text == "POST /x a=b []"
    assert site.log[-1].headers["X-More"] == "2"
    away = remote.prepare_request(requests.Request("GET", f"{site.url}/away"))
    assert remote.send(away, stream=True, timeout=5).text == "GET /x  []"
    plain = requests.Request("GET", f"{site.url}/x", cookies={"k": "v"}).prepare()
    assert remote.send(plain).text == "GET /x  [k=v]"


# Pages and forms


def test_pages_are_opened_and_forms_sent(site: Site, here: Here) -> None:
    form = "<form method=post action=/send><input name=a value=1><input name=b></form>"
    site.pages = {"/form": form, "/moved": redirect("/form")}
    site.otherwise = echo
    session, remote = here
    page = remote.open(f"{site.url}/moved")
    assert (page.url, page.status) == (f"{site.url}/form", 200)
    assert [hop.status for hop in page.history] == [302]
    assert page.session is remote
    assert remote.page is page
    answer = remote.submit(page.form("form"), b="2")
    assert answer.text == "POST /send a=1&b=2 []"
    assert remote.page is answer
    assert site.log[-1].headers["Referer"] == f"{site.url}/form"
    again = remote.submit(page.form("form"), data=[("b", "ü")])
    assert again.text.startswith("POST /send a=1&b=%C3%BC")
    assert session.cookies.get_dict() == {}


def test_a_password_in_a_form_is_masked_where_it_is_sent(site: Site, here: Here) -> None:
    site.pages["/form"] = "<form method=post><input type=password name=p></form>"
    session, remote = here
    remote.submit(remote.open(f"{site.url}/form").form("form"), p="correct horse")
    assert session.mask("it is correct horse") == "it is *****"
    remote.mask.add("another secret")
    remote.flush()
    assert session.mask("another secret") == "*****"


# Cookies, headers, state, settings


def test_cookies_are_those_of_the_session(site: Site, here: Here) -> None:
    site.pages["/set"] = Reply("x", headers=(("Set-Cookie", "new=1; Path=/"),))
    site.otherwise = echo
    session, remote = here
    session.cookies.set("old", "0", domain=site.address, path="/")
    assert remote.cookies.get_dict() == {"old": "0"}
    remote.get(f"{site.url}/set")
    assert remote.cookies["new"] == "1"
    remote.cookies.set("own", "2", domain=site.address, path="/")
    assert remote.get(f"{site.url}/x").text == "GET /x  [new=1; old=0; own=2]"
    del remote.cookies["old"]
    remote.flush()
    assert session.cookies.get_dict() == {"new": "1", "own": "2"}
    remote.cookies.clear()
    assert remote.get(f"{site.url}/x").text == "GET /x  []"


@pytest.mark.parametrize("kind", ["dict", "jar", "its own"])
def test_cookies_may_be_replaced(here: Here, kind: str) -> None:
    session, remote = here
    session.cookies.set("old", "0")
    jar = requests.cookies.RequestsCookieJar()
    jar.set("a", "1", domain="x.test")
    if kind == "its own":
        remote.cookies = remote.cookies
    else:
        remote.cookies = {"a": "1"} if kind == "dict" else jar  # type: ignore[assignment]
    remote.flush()
    assert session.cookies.get_dict() == ({"old": "0"} if kind == "its own" else {"a": "1"})
    assert remote.cookies.get_dict() == session.cookies.get_dict()


def test_headers_are_read_and_set(site: Site, here: Here) -> None:
    site.otherwise = echo
    session, remote = here
    session.headers["X-Old"] = "0"
    assert remote.headers["x-old"] == "0"
    remote.headers["X-Token"] = "1"
    del remote.headers["X-Old"]
    remote.get(f"{site.url}/x")
    assert site.log[-1].headers["X-Token"] == "1"
    assert "X-Old" not in site.log[-1].headers
    assert session.headers["X-Token"] == "1"
    remote.headers = {"X-All": "2"}
    remote.flush()
    assert dict(session.headers) == {"X-All": "2"}


def test_state_is_read_and_set(here: Here) -> None:
    session, remote = here
    session.state = {"page": 1, "seen": ["a"]}
    assert remote.state["page"] == 1
    remote.state["seen"].append("b")
    remote.flush()
    assert session.state == {"page": 1, "seen": ["a", "b"]}
    remote.state = {"page": 2}
    remote.flush()
    assert session.state == {"page": 2}
    session.state["page"] = 3
    assert remote.state == {"page": 3}, "it is read anew after each callback"


def test_settings_are_read_and_set(site: Site, here: Here) -> None:
    site.otherwise = echo
    session, remote = here
    session.params = {"a": "1"}
    session.proxies = {"https": "http://proxy.test"}
    assert (remote.verify, remote.cert, remote.max_redirects, remote.trust_env) == (
        *(True, None, session.max_redirects, True),
    )
    assert remote.proxies == {"https": "http://proxy.test"}
    remote.params["b"] = "2"  # type: ignore[index]
    remote.proxies.clear()
    remote.max_redirects = 3
    assert remote.get(f"{site.url}/x").text == "GET /x?a=1&b=2  []"
    assert (session.params, session.proxies) == ({"a": "1", "b": "2"}, {})
    assert session.max_redirects == 3
    remote.verify = False
    assert remote.cookies.get_dict() == {}
    assert remote.verify is False, "reading the rest does not undo it"
    remote.flush()
    assert session.verify is False


def test_auth_is_read_and_set(site: Site, here: Here) -> None:
    site.otherwise = echo
    session, remote = here
    session.auth = HTTPBasicAuth("ann", "word")
    assert remote.auth == HTTPBasicAuth("ann", "word")
    remote.auth = ("bea", "sesame")
    remote.get(f"{site.url}/x")
    assert site.log[-1].headers["Authorization"] == requests.auth._basic_auth_str("bea", "sesame")
    remote.auth = HTTPDigestAuth("cleo", "deep water")
    remote.flush()
    for auth in (session.auth, remote.auth):
        assert isinstance(auth, HTTPDigestAuth)
        assert (auth.username, auth.password) == ("cleo", "deep water")
    assert remote.get(f"{site.url}/x", auth=HTTPDigestAuth("a", "b")).ok


def test_nothing_is_asked_for_a_page_whose_callback_does_not_use_the_session(here: Here) -> None:
    _, remote = here
    calls = calls_of(remote)
    remote.flush()
    assert (remote.key, remote.account, calls) == ("s", remote.account, [])
    assert remote.cookies is remote.cookies
    remote.flush()
    assert calls == ["snapshot"], "what did not change is not sent back"


def test_what_a_session_has_not_is_an_attribute_error(here: Here) -> None:
    _, remote = here
    with pytest.raises(AttributeError, match=r"response\.session has no 'cokies'"):
        _ = remote.cokies
    assert not hasattr(remote, "teapot")


# Hooks and what cannot be sent


def test_hooks_of_a_callback_run(site: Site, here: Here) -> None:
    site.otherwise = echo
    session, remote = here
    seen: list[str] = []

    def there(response: Any, **_: Any) -> None:
        seen.append(f"session {response.status_code}")

    def callback(response: Any, **_: Any) -> None:
        seen.append(f"callback {response.text[:3]}")

    session.hooks["response"].append(there)
    remote.get(f"{site.url}/x", hooks={"response": callback})
    remote.hooks["response"].append(callback)
    remote.post(f"{site.url}/x")
    assert seen == ["session 200", "callback GET", "session 200", "callback POS"]


def test_what_cannot_be_sent_to_another_process_is_an_error_that_says_so(here: Here) -> None:
    _, remote = here
    with pytest.raises(SpiderError, match=r"response\.session: request is sent .* prepare\(\)"):
        remote.get("http://x.test/", auth=lambda request: request)
    with pytest.raises(SpiderError, match=r"mount\('https://', …\) .* prepare\(\)"):
        remote.mount("https://", requests.adapters.HTTPAdapter())


# Errors


def raised(function: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (its caller looks at it)
        function()
    return caught.value


def test_errors_of_requests_come_back_as_they_are(site: Site, here: Here) -> None:
    site.pages = {"/missing": Reply("x", 404), "/loop": redirect("/loop"), "/x": "no json"}
    _, remote = here
    with closed_port() as port:
        error = raised(lambda: remote.get(f"http://127.0.0.1:{port}/"))
    assert isinstance(error, requests.ConnectionError)
    assert error.request is not None
    assert error.request.url == f"http://127.0.0.1:{port}/"
    remote.max_redirects = 2
    error = raised(lambda: remote.get(f"{site.url}/loop"))
    assert isinstance(error, requests.TooManyRedirects)
    assert error.response is not None
    assert error.response.status_code == 302
    assert isinstance(raised(lambda: remote.get("no-scheme")), requests.exceptions.MissingSchema)
    response = remote.get(f"{site.url}/missing")
    assert isinstance(raised(response.raise_for_status), requests.HTTPError)
    response = remote.get(f"{site.url}/x")
    assert isinstance(raised(response.json), requests.exceptions.JSONDecodeError)


def test_a_timeout_comes_back_as_it_is(site: Site, here: Here) -> None:
    site.pages["/slow"] = lambda visit: site.wait_for("/go").path
    _, remote = here
    error = raised(lambda: remote.get(f"{site.url}/slow", timeout=(5, 0.05)))
    requests.get(f"{site.url}/go", timeout=5)
    assert isinstance(error, requests.ReadTimeout)


def test_our_errors_come_back_as_they_are(site: Site, here: Here) -> None:
    site.pages["/large"] = Reply(bytes(MAX_BODY + 1))
    session, remote = here
    error = raised(lambda: remote.open(f"{site.url}/large"))
    assert isinstance(error, FetchError)
    assert (error.cause, error.retryable) == ("body too large", False)
    with closed_port() as port:
        error = raised(lambda: remote.open(f"http://127.0.0.1:{port}/"))
    assert isinstance(error, requests.ConnectionError)
    cause = error.__cause__
    assert isinstance(cause, FetchError)
    assert (cause.cause, cause.retryable) == ("refused", True)
    error = raised(lambda: remote.ask("which code?"))
    assert isinstance(error, InputRequiredError)
    assert error.question == "which code?"
    vars(session)["open"] = lambda url: session.ask("the letters?")
    error = raised(lambda: remote.open("http://x.test/"))
    assert isinstance(error, InputRequiredError)
    assert error.question == "the letters?"


class PickyError(Exception):
    """It has more arguments than its message, so that it cannot be unpickled."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def test_errors_of_hooks_come_back_and_those_that_cannot_are_described(
    site: Site, here: Here
) -> None:
    site.otherwise = echo
    session, remote = here

    def hook(response: Any, **_: Any) -> None:
        raise errors[0]

    session.hooks["response"].append(hook)
    errors: list[Exception] = [ZeroDivisionError("by zero")]
    assert str(raised(lambda: remote.get(f"{site.url}/x"))) == "by zero"
    errors = [PickyError(3, "too hot")]
    error = raised(lambda: remote.get(f"{site.url}/x"))
    assert (type(error), str(error)) == (RuntimeError, "PickyError: too hot")


# In a crawl


class Calling(Spider):
    """Uses its session in each callback."""

    delay = 0
    obey_robots = False
    origin = ""

    def prepare(self, session: Any) -> None:
        session.headers["X-Prepared"] = "yes"
        session.hooks["response"].append(lambda response, **_: session.state.update(hooked=True))

    def parse(self, response: Any) -> Iterator[Any]:
        session = response.session
        session.state["pages"] = session.state.get("pages", 0) + 1
        session.cookies.set("callback", "1", domain="127.0.0.1", path="/")
        got = session.get(f"{self.origin}/api").text
        posted = session.post(f"{self.origin}/api", data={"a": "b"}).text
        sent = session.submit(session.open(f"{self.origin}/form").form("form"), b="2").text
        yield {"got": got, "posted": posted, "sent": sent, "pid": os.getpid()}
        yield from response.follow_all("a", callback="second")

    def second(self, response: Any) -> Iterator[Any]:
        session = response.session
        try:
            session.open(f"{self.origin}/api").raise_for_status()
        except AttributeError as error:
            yield {"error": type(error).__name__}
        yield {"state": session.state, "cookies": session.cookies.get_dict()}
        yield {"url": response.url, "text": response.text}


@pytest.mark.parametrize("workers", [0, 1])
def test_callbacks_of_a_crawl_use_their_session(tmp_path: Path, site: Site, workers: int) -> None:
    site.pages = {
        "/": Reply(links("/next"), headers=(("Set-Cookie", "page=1; Path=/"),)),
        "/form": "<form method=post action=/api><input name=b></form>",
    }
    site.otherwise = echo
    run_job(Calling, tmp_path, site.url + "/", workers=workers, arguments={"origin": site.url})
    assert failures(tmp_path) == {}
    first, error, session, page = items(tmp_path)
    cookies = "[callback=1; page=1]"
    assert first["got"] == f"GET /api  {cookies}"
    assert first["posted"] == f"POST /api a=b {cookies}"
    assert first["sent"] == f"POST /api b=2 {cookies}"
    assert (first["pid"] == os.getpid()) == (workers == 0)
    assert error == {"error": "AttributeError"}
    assert session["cookies"] == {"page": "1", "callback": "1"}
    assert session["state"] == {"pages": 1, "hooked": True}
    assert page["text"] == f"GET /next  {cookies}", "the crawl's own requests have them too"
    assert {visit.headers["X-Prepared"] for visit in site.visits()} == {"yes"}


class Polite(Spider):
    delay = 0.3
    obey_robots = False

    def parse(self, response: Any) -> Iterator[Any]:
        response.session.get(response.url + "api")
        yield from response.follow_all("a", callback="second")

    def second(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}


def test_the_delay_counts_from_a_callbacks_request(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = links("/next")
    site.otherwise = echo
    run_job(Polite, tmp_path, site.url + "/", workers=1)
    api, following = (site.visits(path)[0] for path in ("/api", "/next"))
    assert following.came - api.came >= 0.3 - JITTER
