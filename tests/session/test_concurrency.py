"""Turns of the fetches of one session: who goes beside whom, and who waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from crawler import Request, Session, Settings
from crawler.http.deadline import FetchContext
from crawler.session.concurrency import CALM, FetchCoordinator, ReadWriteLock
from tests.conftest import wait_until
from tests.sites import PATIENCE, Reply, Site


def take(turns: FetchCoordinator, *, changed: bool = False, refused: bool = False) -> None:
    """One fetch, from its beginning to its end."""
    with turns.next() as turn:
        turns.note(changed=changed)
        turn.refused, turn.worked = refused, not refused


def calm() -> FetchCoordinator:
    """Turns of a session whose cookies have not changed for a while."""
    turns = FetchCoordinator()
    for _ in range(CALM):
        take(turns)
    assert not turns.one_by_one
    return turns


@contextmanager
def beside(turns: FetchCoordinator, *, refused: bool = False) -> Iterator[threading.Event]:
    """Another fetch is under way; it ends, with a cookie changed, when the event is set."""
    inside, end = threading.Event(), threading.Event()

    def fetch() -> None:
        with turns.next() as turn:
            inside.set()
            assert end.wait(PATIENCE)
            turns.note(changed=True)
            turn.refused = refused

    with ThreadPoolExecutor() as pool:
        other = pool.submit(fetch)
        assert inside.wait(PATIENCE)
        yield end
        other.result(PATIENCE)


def test_one_page_that_changes_no_cookie_does_not_end_going_one_by_one() -> None:
    """Where each page changes the cookie an error page may not; many such in a row tell."""
    turns = FetchCoordinator()
    for _ in range(CALM - 1):
        take(turns)
    take(turns, changed=True)
    take(turns)
    assert turns.one_by_one
    for _ in range(CALM - 1):
        take(turns)
    assert not turns.one_by_one


def test_what_is_refused_says_nothing_of_how_cookies_change() -> None:
    turns = FetchCoordinator()
    for _ in range(2 * CALM):
        take(turns, refused=True)
    assert turns.one_by_one
    turns = calm()
    take(turns, changed=True, refused=True)
    assert not turns.one_by_one


def test_an_answer_that_ends_in_an_error_may_have_changed_a_cookie() -> None:
    turns = calm()

    def fetch() -> None:
        with turns.next():
            turns.note(changed=True)
            raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        fetch()
    assert turns.one_by_one


def test_what_a_login_or_a_robots_txt_brings_is_no_turn() -> None:
    turns = calm()
    with turns.alone():
        turns.note(changed=True)
    with turns.aside():
        turns.note(changed=True)
    assert not turns.one_by_one


def test_a_refusal_is_late_when_what_was_sent_beside_it_has_changed_a_cookie() -> None:
    turns = calm()
    with beside(turns) as end, turns.next() as turn:
        turn.refused = True
        end.set()
        assert turns.settle(turn)
    for _ in range(2 * CALM):
        take(turns)
    assert turns.one_by_one, "cookies of this session die, so nothing goes side by side any more"


def test_a_refusal_is_not_late_for_what_another_refusal_has_set() -> None:
    turns = calm()
    with beside(turns, refused=True) as end, turns.next() as turn:
        turns.note(changed=True)
        turn.refused = True
        end.set()
        assert not turns.settle(turn)
    assert not turns.one_by_one


def test_refusals_side_by_side_do_not_wait_for_each_other() -> None:
    turns = calm()
    both = threading.Barrier(2)

    def refused() -> bool:
        with turns.next() as turn:
            both.wait(PATIENCE)
            turn.refused = True
            return turns.settle(turn)

    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(refused), pool.submit(refused)
        assert not first.result(PATIENCE)
        assert not second.result(PATIENCE)


class Watched(ReadWriteLock):
    """Tells how many have wanted to go in together."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Semaphore(0)

    @contextmanager
    def read(self) -> Iterator[None]:
        self.came.release()
        with super().read():
            yield


def test_who_has_waited_looks_again_whether_cookies_change() -> None:
    turns = calm()
    turns._gate = gate = Watched()

    def is_alone() -> bool:
        with turns.next() as turn:
            return turn.alone

    def log_in() -> None:
        with turns.alone():
            pass

    with ThreadPoolExecutor() as pool:
        with turns.next():
            login = pool.submit(log_in)
            wait_until(lambda: gate._waiting, "nobody waits to log in")
            waiting = [pool.submit(is_alone) for _ in range(2)]
            for _ in range(3):
                assert gate.came.acquire(timeout=PATIENCE)
            turns.note(changed=True)
        login.result(PATIENCE)
        assert [one.result(PATIENCE) for one in waiting] == [True, True]


def test_what_is_fetched_aside_goes_beside_pages_but_not_beside_a_login() -> None:
    turns = FetchCoordinator()
    with ThreadPoolExecutor() as pool:
        with turns.next():

            def fetch_robots() -> None:
                with turns.aside():
                    pass

            pool.submit(fetch_robots).result(PATIENCE)
        with turns.aside():
            began = threading.Event()

            def log_in() -> None:
                with turns.alone():
                    began.set()

            login = pool.submit(log_in)
            wait_until(lambda: turns._side._waiting, "the login does not wait")
            assert not began.is_set()
        login.result(PATIENCE)


@pytest.mark.parametrize("headers", [None, {"X-Way": "general"}])
def test_a_turn_knows_whether_its_own_answer_has_changed_a_cookie(
    site: Site, headers: dict[str, str] | None
) -> None:
    site.otherwise = lambda visit: Reply("x", headers=(("Set-Cookie", f"sid={visit.path[1:]}"),))
    with closing(Session("s", Settings(delay=0))) as session:

        def changes(path: str) -> bool:
            with session.turns.next() as turn:
                request = Request(site.url + path, headers=headers)
                session.fetch(request, (PATIENCE, PATIENCE), FetchContext()).raw.close()
            return turn.changed

        assert [changes(path) for path in ("/a", "/a", "/b", "/b")] == [False, False, True, False]
