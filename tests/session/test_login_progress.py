"""The states of a login, and the events that change them."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.errors import InputRequiredError, LoginError
from crawler.parsing.response import Response
from crawler.records import LoginState
from crawler.request import Hop, Request
from crawler.session.login_progress import LoginProgress, ProbePage

URL = "http://club.example/a"


def logged_in(at: float = 5.0) -> LoginProgress:
    progress = LoginProgress()
    progress.mark_logged_in(at)
    return progress


def verify(progress: LoginProgress, status: int = 200, tries: int = 0) -> None:
    request = Request(URL, tries=tries)
    progress.mark_verified(request, Response(URL, b"", status=status), may_probe=True)


def test_a_login_is_verified_by_a_page() -> None:
    progress = logged_in()
    assert (progress.logged_in_at, progress.verified) == (5.0, False)
    verify(progress)
    assert (progress.logged_in_at, progress.verified) == (5.0, True)
    assert progress.probe.url == URL


def test_the_end_of_a_verified_session_is_no_failed_login() -> None:
    progress = logged_in()
    verify(progress)
    assert progress.mark_logged_out(Request(URL, tries=1))
    assert (progress.logged_in_at, progress.failed_logins) == (None, 0)
    assert progress.probe.saw_end_at(Request(URL))


def test_the_end_of_an_unverified_session_is_a_failed_login_until_a_page_comes() -> None:
    progress = logged_in()
    for number in (1, 2):
        assert progress.mark_logged_out(Request(URL))
        assert (progress.logged_in_at, progress.failed_logins) == (None, number)
        progress.mark_logged_in(6.0)
    verify(progress)
    assert progress.failed_logins == 0


def test_a_page_asked_again_does_not_end_an_unverified_session() -> None:
    progress = logged_in()
    assert not progress.mark_logged_out(Request(URL, tries=1))
    assert (progress.logged_in_at, progress.failed_logins) == (5.0, 0)


def test_a_failed_login_stays_failed() -> None:
    progress = LoginProgress()
    progress.mark_failed("the password is wrong")
    assert type(progress.error()) is LoginError
    assert str(progress.error()) == "the password is wrong"


def test_a_login_that_needs_an_answer_says_which() -> None:
    progress = LoginProgress()
    progress.mark_waiting("code", "it needs a code")
    error = progress.error()
    assert isinstance(error, InputRequiredError)
    assert (error.question, str(error)) == ("code", "it needs a code")
    progress.forget()
    assert (progress.waiting, progress.logged_in_at) == ("", None)


def test_what_the_store_says_is_no_later_than_now() -> None:
    progress = LoginProgress()
    progress.restore(LoginState(9.0, pages=("http://club.example/login",), waiting="code"), 7.0)
    assert (progress.logged_in_at, progress.verified, progress.waiting) == (7.0, True, "code")
    assert progress.is_login_page("http://club.example/login?next=/a#top")
    assert progress.is_current(Request(URL, asked=7.0))
    assert not progress.is_current(Request(URL, asked=6.9))
    progress.restore(LoginState(), 7.0)
    assert not progress.is_current(Request(URL, asked=8.0))


@pytest.mark.parametrize("status", [200, 404, 500])
def test_other_statuses_do_not_look_logged_out(status: int) -> None:
    assert not LoginProgress().looks_logged_out(Response(URL, b"", status=status))


def test_401_and_a_redirect_to_the_login_look_logged_out() -> None:
    progress = LoginProgress()
    progress.add_login_page("http://club.example/login?next=/a")
    assert progress.looks_logged_out(Response(URL, b"", status=401))
    hops = [Hop(URL, 302)]
    assert progress.looks_logged_out(Response("http://club.example/login", b"", history=hops))
    assert not progress.looks_logged_out(Response("http://club.example/login", b""))
    assert not progress.looks_logged_out(Response("http://club.example/b", b"", history=hops))


def test_403_looks_logged_out_until_a_login_has_not_cured_it_then_the_third_in_a_row() -> None:
    closed = Response(URL, b"", status=403)
    progress = logged_in()
    assert progress.looks_logged_out(closed)
    verify(progress, status=403, tries=1)
    verify(progress)
    looks = []
    for _ in range(4):
        looks.append(progress.looks_logged_out(closed))
        verify(progress, status=403)
    assert looks == [False, False, True, False]


def test_a_forbidden_page_verifies_the_login_only_if_the_probe_is_sure() -> None:
    progress = logged_in()
    progress.failed_logins = 1
    progress.mark_forbidden(403)
    assert (progress.verified, progress.failed_logins) == (False, 1)
    assert not progress.treats_403_as_logout
    progress.probe.is_sure = True
    progress.mark_forbidden(401)
    assert (progress.verified, progress.failed_logins) == (True, 0)


def test_the_best_probe_is_a_page_that_a_login_has_brought_back() -> None:
    def saw(probe: ProbePage, url: str, **options: Any) -> None:
        probe.saw_page(Request(url, **options), Response(url))

    probe = ProbePage()
    assert probe.url == ""
    saw(probe, "http://club.example/a")
    saw(probe, "http://club.example/form", method="POST")
    saw(probe, "http://club.example/once", replay=False)
    assert (probe.url, probe.is_sure) == ("http://club.example/a", False)
    probe.saw_end(Request("http://club.example/b"))
    assert probe.saw_end_at(Request("http://club.example/b"))
    saw(probe, "http://club.example/b")
    assert not probe.saw_end_at(Request("http://club.example/b"))
    saw(probe, "http://club.example/c")
    assert (probe.url, probe.is_sure) == ("http://club.example/b", True)
