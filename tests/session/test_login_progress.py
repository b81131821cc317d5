"""The states of a login, and the events that change them."""

from __future__ import annotations

from crawler.errors import InputRequiredError, LoginError
from crawler.records import LoginState
from crawler.request import Hop, Request
from crawler.session.login_progress import (
    DOUBTS_IN_ROW,
    ENDS_AT_A_PAGE,
    ENDS_BY_CHANCE,
    LoginProgress,
)

URL = "http://club.example/a"


def logged_in(at: float = 5.0) -> LoginProgress:
    progress = LoginProgress()
    progress.mark_logged_in(at)
    return progress


def test_a_login_is_verified_by_a_page() -> None:
    progress = logged_in()
    assert (progress.logged_in_at, progress.verified) == (5.0, False)
    progress.mark_accepted(Request(URL))
    assert (progress.logged_in_at, progress.verified) == (5.0, True)


def test_the_end_of_a_verified_session_is_no_failed_login() -> None:
    progress = logged_in()
    progress.mark_accepted(Request(URL))
    progress.mark_logged_out(Request(URL))
    assert (progress.logged_in_at, progress.failed_logins) == (None, 0)
    assert progress.ends_at(Request(URL)) == 1


def test_the_end_of_an_unverified_session_is_a_failed_login_until_a_page_comes() -> None:
    progress = logged_in()
    for number in (1, 2):
        progress.mark_logged_out(Request(URL))
        assert (progress.logged_in_at, progress.failed_logins) == (None, number)
        progress.mark_logged_in(6.0)
    progress.mark_accepted(Request(URL))
    assert (progress.failed_logins, progress.ends_at(Request(URL))) == (0, 0)


def test_a_page_is_what_ends_the_session_if_it_does_so_at_once_after_a_login() -> None:
    progress = logged_in()
    progress.mark_accepted(Request("http://club.example/b"))
    for _ in range(2):
        assert not progress.is_ended_by(Request(URL))
        progress.mark_logged_out(Request(URL))
        progress.mark_logged_in(6.0, verified=True)
    assert progress.is_ended_by(Request(URL))
    progress.mark_accepted(Request("http://club.example/b"))
    assert not progress.is_ended_by(Request(URL))


def test_a_page_at_which_the_session_ends_again_and_again_is_what_ends_it() -> None:
    progress = logged_in()
    for _ in range(ENDS_AT_A_PAGE):
        assert not progress.is_ended_by(Request(URL))
        progress.mark_logged_out(Request(URL))
        progress.mark_logged_in(6.0, verified=True)
        progress.mark_accepted(Request("http://club.example/b"))
    assert progress.is_ended_by(Request(URL))


def test_where_sessions_end_by_themselves_a_page_takes_longer_to_be_suspected() -> None:
    progress = logged_in()
    for number in range(ENDS_AT_A_PAGE):  # at pages that come later: these have not ended it
        other = Request(f"http://club.example/{number}")
        progress.mark_logged_out(other)
        progress.mark_logged_in(6.0, verified=True)
        progress.mark_accepted(other)
    for _ in range(ENDS_BY_CHANCE):
        assert not progress.is_ended_by(Request(URL))
        progress.mark_logged_out(Request(URL))
        progress.mark_logged_in(6.0, verified=True)
        progress.mark_accepted(Request("http://club.example/b"))
    assert progress.is_ended_by(Request(URL))


def test_doubt_of_a_kind_may_wait_once_it_was_cleared_up_unless_there_is_much_of_it() -> None:
    progress = logged_in()
    assert not progress.may_wait("status 403")
    progress.mark_cleared("status 403")
    for _ in range(DOUBTS_IN_ROW):
        assert progress.may_wait("status 403")
        assert not progress.may_wait("status 401")
        progress.mark_doubtful()
    assert not progress.may_wait("status 403")
    progress.mark_proven(URL, 7.0)
    assert progress.may_wait("status 403")


def test_a_hop_counts_for_the_page_that_the_chain_began_with() -> None:
    progress = logged_in()
    progress.mark_logged_out(Request("http://club.example/hop", history=[Hop(URL, 302)]))
    assert progress.ends_at(Request(URL)) == 1


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


def test_stored_times_are_no_later_than_now() -> None:
    progress = LoginProgress()
    progress.restore(LoginState(9.0, pages=("http://club.example/login",), waiting="code"), 7.0)
    assert (progress.logged_in_at, progress.verified, progress.waiting) == (7.0, True, "code")
    assert progress.evidence.is_login_page("http://club.example/login?next=/a#top")
    assert progress.is_current(Request(URL, asked=7.0))
    assert not progress.is_current(Request(URL, asked=6.9))
    progress.restore(LoginState(), 7.0)
    assert not progress.is_current(Request(URL, asked=8.0))
