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


def names(store: Store, key: str = "a") -> list[tuple[str, str | None]]:
    session = store.sessions.get(key)
    assert session is not None
    return [(cookie.name, cookie.value) for cookie in session.cookies]


def test_changes_of_a_session_leave_its_other_cookies(store: Store) -> None:
    def cookie(name: str, value: str | None, domain: str = "a.example") -> Cookie:
        return Cookie(name, value, domain, "/")

    with store.transaction():
        store.sessions.update(SessionRecord("a", [cookie("x", "1"), cookie("y", "1")]))
        store.sessions.save(SessionRecord("b", [cookie("x", "b")]))
    assert names(store) == [("x", "1"), ("y", "1")]
    changes = [cookie("y", "2"), cookie("z", "1"), cookie("x", "2"), cookie("y", "9", "b.example")]
    with store.transaction():
        store.sessions.update(SessionRecord("a", changes, LoginState(NOW), Usage(3)))
    assert names(store) == [("x", "2"), ("y", "2"), ("z", "1"), ("y", "9")], "in their first order"
    session = store.sessions.get("a")
    assert session is not None
    assert (session.login, session.usage) == (LoginState(NOW), Usage(3))
    with store.transaction():
        changes = [cookie("x", None), cookie("never", None), cookie("z", None), cookie("x", "3")]
        store.sessions.update(SessionRecord("a", changes))
    assert names(store) == [("y", "2"), ("y", "9"), ("x", "3")]
    with store.transaction():
        store.sessions.save(SessionRecord("a", [cookie("new", "1")]))
    assert names(store) == [("new", "1")]
    assert names(store, "b") == [("x", "b")]
