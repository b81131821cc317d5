"""The contract of ``SessionStore``."""

from __future__ import annotations

from collections.abc import Callable

from crawler.records import Cookie, LoginState, SessionRecord, Usage
from crawler.store.protocols import Store
from tests.store.builders import NOW


def test_sessions_are_stored(open_store: Callable[[], Store]) -> None:
    store = open_store()
    assert store.sessions.get("a") is None
    assert store.sessions.all() == []
    cookies = [
        Cookie("id", "ö=1", ".a.example", "/x", NOW, secure=True, http_only=True, host_only=False),
        Cookie("b", "", "a.example", "/"),
    ]
    login = LoginState(NOW, {"X": "1"}, {"step": [1, "ö"]}, ("https://a.example/login",))
    a, b = SessionRecord("a", cookies, login, Usage(3, NOW)), SessionRecord("b", [])
    with store.transaction():
        store.sessions.save(SessionRecord("a", []))
        store.sessions.save(a)
        store.sessions.save(b)
    store.close()
    store = open_store()
    assert store.sessions.get("a") == a
    assert sorted(store.sessions.all()) == [a, b]


def test_a_session_is_stored_as_it_was_at_that_moment(store: Store) -> None:
    cookies = [Cookie("id", "1", "a.example", "/")]
    with store.transaction():
        store.sessions.save(SessionRecord("a", cookies))
    cookies.clear()
    session = store.sessions.get("a")
    assert session is not None
    session.cookies.append(Cookie("id", "2", "a.example", "/"))
    (session,) = store.sessions.all()
    assert [cookie.value for cookie in session.cookies] == ["1"]
