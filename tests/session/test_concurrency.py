"""Which fetches of a session run at the same time, and which wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from crawler import Request, Session, Settings
from crawler.http.deadline import FetchContext
from crawler.session.concurrency import STABLE_PAGES, FetchCoordinator, ReadWriteLock
from tests.conftest import wait_until
from tests.sites import PATIENCE, Reply, Site


def take(turns: FetchCoordinator, *, changed: bool = False, logged_out: bool = False) -> None:
    """One fetch, from its beginning to its end."""
    with turns.page() as turn:
        turns.cookies_received(changed=changed)
        turn.logged_out, turn.accepted = logged_out, not logged_out


def stable() -> FetchCoordinator:
    """Turns of a session whose cookies have not changed for a while."""
    turns = FetchCoordinator()
    for _ in range(STABLE_PAGES):
        take(turns)
    assert not turns.in_series
    return turns


@contextmanager
def beside(turns: FetchCoordinator, *, logged_out: bool = False) -> Iterator[threading.Event]:
    """Another fetch is under way; it ends, with a cookie changed, when the event is set."""
    inside, end = threading.Event(), threading.Event()

    def fetch() -> None:
        with turns.page() as turn:
            inside.set()
            assert end.wait(PATIENCE)
            turns.cookies_received(changed=True)
            turn.logged_out = logged_out

    with ThreadPoolExecutor() as pool:
        other = pool.submit(fetch)
        assert inside.wait(PATIENCE)
        yield end
        other.result(PATIENCE)


def test_one_page_that_changes_no_cookie_does_not_end_the_series() -> None:
    """Where each page changes the cookie an error page may not; only many in a row prove it."""
    turns = FetchCoordinator()
    for _ in range(STABLE_PAGES - 1):
        take(turns)
    take(turns, changed=True)
    take(turns)
    assert turns.in_series
    for _ in range(STABLE_PAGES - 1):
        take(turns)
    assert not turns.in_series


def test_a_logged_out_response_does_not_show_how_cookies_change() -> None:
    turns = FetchCoordinator()
    for _ in range(2 * STABLE_PAGES):
        take(turns, logged_out=True)
    assert turns.in_series
    turns = stable()
    take(turns, changed=True, logged_out=True)
    assert not turns.in_series


def test_an_answer_that_ends_in_an_error_may_have_changed_a_cookie() -> None:
    turns = stable()

    def fetch() -> None:
        with turns.page():
            turns.cookies_received(changed=True)
            raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        fetch()
    assert turns.in_series


def test_a_login_and_a_robots_txt_are_no_page() -> None:
    turns = stable()
    with turns.login():
        turns.cookies_received(changed=True)
    with turns.no_login():
        turns.cookies_received(changed=True)
    assert not turns.in_series


def test_a_logged_out_response_is_late_if_a_fetch_beside_it_has_changed_a_cookie() -> None:
    turns = stable()
    with beside(turns) as end, turns.page() as turn:
        turn.logged_out = True
        end.set()
        assert turns.finish_others(turn)
    for _ in range(2 * STABLE_PAGES):
        take(turns)
    assert turns.in_series, "cookies of this session are replaced, so its fetches run in series"


def test_a_logged_out_response_is_not_late_for_the_cookie_of_another() -> None:
    turns = stable()
    with beside(turns, logged_out=True) as end, turns.page() as turn:
        turns.cookies_received(changed=True)
        turn.logged_out = True
        end.set()
        assert not turns.finish_others(turn)
    assert not turns.in_series


def test_logged_out_responses_do_not_wait_for_each_other() -> None:
    turns = stable()
    both = threading.Barrier(2)

    def fetch() -> bool:
        with turns.page() as turn:
            both.wait(PATIENCE)
            turn.logged_out = True
            return turns.finish_others(turn)

    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(fetch), pool.submit(fetch)
        assert not first.result(PATIENCE)
        assert not second.result(PATIENCE)


class Watched(ReadWriteLock):
    """Counts the calls of ``read``."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Semaphore(0)

    @contextmanager
    def read(self) -> Iterator[None]:
        self.came.release()
        with super().read():
            yield


def test_a_fetch_that_has_waited_checks_again_whether_cookies_change() -> None:
    turns = stable()
    turns._pages = gate = Watched()

    def is_exclusive() -> bool:
        with turns.page() as turn:
            return turn.exclusive

    def log_in() -> None:
        with turns.login():
            pass

    with ThreadPoolExecutor() as pool:
        with turns.page():
            login = pool.submit(log_in)
            wait_until(lambda: gate._waiting_writers, "no login waits")
            waiting = [pool.submit(is_exclusive) for _ in range(2)]
            for _ in range(3):
                assert gate.came.acquire(timeout=PATIENCE)
            turns.cookies_received(changed=True)
        login.result(PATIENCE)
        assert [fetch.result(PATIENCE) for fetch in waiting] == [True, True]


def test_a_robots_txt_is_fetched_beside_pages_but_not_beside_a_login() -> None:
    turns = FetchCoordinator()
    with ThreadPoolExecutor() as pool:
        with turns.page():

            def fetch_robots() -> None:
                with turns.no_login():
                    pass

            pool.submit(fetch_robots).result(PATIENCE)
        with turns.no_login():
            began = threading.Event()

            def log_in() -> None:
                with turns.login():
                    began.set()

            login = pool.submit(log_in)
            wait_until(lambda: turns._other._waiting_writers, "the login does not wait")
            assert not began.is_set()
        login.result(PATIENCE)


@pytest.mark.parametrize("headers", [None, {"X-Way": "general"}])
def test_a_turn_knows_whether_its_own_response_has_changed_a_cookie(
    site: Site, headers: dict[str, str] | None
) -> None:
    site.otherwise = lambda visit: Reply("x", headers=(("Set-Cookie", f"sid={visit.path[1:]}"),))
    with closing(Session("s", Settings(delay=0))) as session:

        def changes(path: str) -> bool:
            with session.turns.page() as turn:
                request = Request(site.url + path, headers=headers)
                session.fetch(request, (PATIENCE, PATIENCE), FetchContext()).raw.close()
            return turn.changed

        assert [changes(path) for path in ("/a", "/a", "/b", "/b")] == [False, False, True, False]


def test_a_session_is_stable_after_a_page_that_changed_no_cookie() -> None:
    turns = FetchCoordinator()
    pages = [("accepted", True), ("changed", False), ("accepted", True), ("logged_out", True)]
    for event, is_stable in pages:
        with turns.page() as turn:
            setattr(turn, event, True)
        assert turns.is_stable is is_stable


def test_a_fetch_that_has_waited_for_the_others_stays_alone() -> None:
    turns = FetchCoordinator()
    for _ in range(STABLE_PAGES):
        with turns.page() as turn:
            turn.accepted = True
    with turns.page() as turn:
        assert not turn.exclusive
        assert not turns.finish_others(turn)
        assert vars(turn)["exclusive"] is True, "asked again, it lets no other one in between"
