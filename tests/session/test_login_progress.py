"""The states of a login, and the events that change them."""

from __future__ import annotations

import pytest

from crawler.errors import InputRequiredError, LoginError
from crawler.parsing.response import Response
from crawler.records import LoginState
from crawler.request import Hop, Request
from crawler.session import login_progress
from crawler.session.login_progress import (
    DOUBTS_IN_ROW,
    ENDS_AT_A_PAGE,
    ENDS_BY_CHANCE,
    LoginProgress,
    is_harmless,
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


# Pages that count only if a later proof covers them


def test_a_proof_covers_the_pages_that_came_before_it_was_asked_for() -> None:
    progress = logged_in()
    for number, judged_at in ((1, 10.0), (2, 20.0), (3, 30.0)):
        progress.mark_unproven(Request(f"{URL}/{number}"), judged_at)
    progress.mark_proven(URL, 20.0)
    assert progress.unproven == [f"{URL}/3"]
    assert progress.evidence.probe(URL).proven_at == 20.0
    progress.mark_proven(URL, 5.0)
    assert progress.evidence.probe(URL).proven_at == 20.0, "an older proof takes nothing back"
    progress.mark_proven(URL, 30.0)
    assert progress.unproven == []


def test_an_end_may_be_due_to_any_page_that_is_not_proven_once_each() -> None:
    progress = logged_in()
    first, second, third = (Request(f"{URL}/{number}") for number in (1, 2, 3))
    progress.mark_logged_out(first)
    progress.mark_logged_in(6.0)
    for request in (first, second, third):
        progress.mark_unproven(request, 10.0)
    progress.mark_logged_out(third)
    assert [progress.ends_at(request) for request in (first, second, third)] == [1, 1, 1]
    assert progress.unproven == []
    assert progress.logged_in_at is None


def test_a_renewal_logs_in_and_suspects_the_pages_that_came_in_between() -> None:
    progress = logged_in()
    progress.mark_unproven(Request(f"{URL}/later"), 10.0)
    progress.mark_renewed(9.0, [f"{URL}/between"])
    assert progress.logged_in_at == 9.0
    assert progress.ends_at(Request(f"{URL}/between")) == 1
    assert progress.ends_at(Request(f"{URL}/later")) == 0
    assert progress.unproven == []


def test_few_pages_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_progress, "MAX_ENDS", 2)
    progress = logged_in()
    for number in (1, 2, 3):
        progress.mark_unproven(Request(f"{URL}/{number}"), 10.0)
        progress.count_end(f"{URL}/end/{number}")
    assert progress.unproven == [f"{URL}/1", f"{URL}/2"]
    progress.count_end(f"{URL}/end/1")
    ends = [progress.ends_at(Request(f"{URL}/end/{number}")) for number in (1, 2, 3)]
    assert ends == [2, 1, 0]


# How long ago the login was, and what came since


def test_a_login_is_fresh_for_a_minute_if_it_is_of_this_process() -> None:
    progress = logged_in(at=100.0)
    asked = {at: progress.is_fresh(Request(URL, asked=at)) for at in (99.0, 100.0, 159.0, 160.0)}
    assert asked == {99.0: False, 100.0: True, 159.0: True, 160.0: False}
    progress.restore(LoginState(100.0), 200.0)
    assert progress.is_current(Request(URL, asked=101.0))
    assert not progress.is_fresh(Request(URL, asked=101.0))
    progress.mark_logged_in(150.0)
    assert progress.is_fresh(Request(URL, asked=151.0))


def test_a_page_that_came_late_or_after_another_is_not_suspected_at_once() -> None:
    progress = logged_in()
    for _ in range(2):
        progress.mark_logged_out(Request(URL))
        progress.mark_logged_in(6.0, verified=True)
    assert progress.is_ended_by(Request(URL))
    assert not progress.is_ended_by(Request(URL), came_late=True)
    progress.mark_alive()
    assert not progress.is_ended_by(Request(URL))


def test_a_site_rotates_its_cookie_if_the_probe_page_does_so_twice_in_a_row() -> None:
    progress = logged_in()
    changes = [(True, False), (False, False), (True, False), (True, True), (True, True)]
    for changes_again, rotates in changes:
        assert progress.mark_renewal(changes_again=changes_again) is rotates
        assert progress.rotates is rotates
    assert not progress.mark_renewal(changes_again=False)


def test_the_first_two_changes_of_the_probe_page_are_enough() -> None:
    progress = logged_in()
    assert [progress.mark_renewal(changes_again=True) for _ in range(2)] == [False, True]


def test_doubts_are_counted_for_a_session_of_an_earlier_run_too() -> None:
    progress = LoginProgress()
    progress.restore(LoginState(5.0), 7.0)
    progress.mark_doubtful()
    progress.mark_cleared("status 403")
    for _ in range(DOUBTS_IN_ROW):
        assert progress.may_wait("status 403")
        progress.mark_doubtful()
    assert not progress.may_wait("status 403")
    progress.mark_cleared("status 404")
    assert progress.may_wait("status 403"), "the row has ended"


def test_the_end_of_a_session_of_an_earlier_run_is_no_failed_login() -> None:
    progress = LoginProgress()
    progress.restore(LoginState(5.0), 7.0)
    progress.mark_logged_out(Request(URL))
    assert (progress.failed_logins, progress.unconfirmed) == (0, 0)


def test_a_call_of_login_begins_without_a_page() -> None:
    progress = LoginProgress()
    vars(progress).update(name_typed="ada", page=Response(URL, b""))
    progress.mark_started(has_cookies=True)
    assert progress.page is None
    assert (progress.name_typed, progress.began_with_cookies) == ("", True)


def test_a_new_login_forgets_the_doubts_about_the_one_before() -> None:
    progress = logged_in()
    progress.mark_cleared("status 403")
    for _ in range(DOUBTS_IN_ROW):
        progress.mark_doubtful()
    progress.unconfirmed, progress.retried_as_stranger = 1, True
    progress.mark_logged_in(6.0)
    assert progress.may_wait("status 403")
    assert progress.was_cleared("status 403")
    assert not progress.was_cleared("status 401")
    assert (progress.unconfirmed, progress.retried_as_stranger) == (0, False)


@pytest.mark.parametrize(
    ("request_", "harmless"),
    [
        (Request(URL), True),
        (Request(URL, replay=False), False),
        (Request(URL, method="POST"), False),
        (Request(URL, history=[Hop(URL, 302)]), False),
    ],
)
def test_only_a_plain_get_may_be_asked_as_the_probe_page_is(
    request_: Request, harmless: bool
) -> None:
    assert is_harmless(request_) is harmless
