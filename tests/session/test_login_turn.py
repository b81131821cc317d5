"""A fetch by a session that logs in: what is made of a response that a login has overtaken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from crawler import Request, Response, Session, Settings, Spider
from crawler.scope import Scope
from crawler.session.login import Login
from crawler.session.login_turn import AskAgain, LoginTurn
from crawler.session.prober import Prober

PAGE = "http://club.example/page"
LOGGED_IN = 1000.0


class Member(Spider):
    """Takes a session for logged out by the words of a page."""

    def login(self, session: Any) -> None:
        raise AssertionError("the session is logged in")

    def is_logged_out(self, response: Any) -> bool:
        return "please log in" in response.text


@pytest.fixture
def session() -> Iterator[Session]:
    with Session("account", Settings(delay=0)) as opened:
        opened.progress.mark_logged_in(LOGGED_IN, verified=True)
        yield opened


def a_turn(session: Session, asked: float) -> tuple[LoginTurn, Request]:
    spider = Member()
    prober = Prober(spider, threading.Lock(), has_own_check=True)
    request = Request(PAGE)
    request.asked = asked
    login = Login(spider, prober, retries=0, wall=lambda: LOGGED_IN + 100.0)
    return LoginTurn(login, Scope.of_domains("club.example"), session, request), request


def stranger(request: Request) -> Response:
    return Response(PAGE, b"please log in", headers={"Content-Type": "text/html"}, request=request)


def test_a_strangers_page_from_before_the_current_login_ends_no_session(session: Session) -> None:
    """The probe of another page has renewed the session while this one was on its way."""
    turn, request = a_turn(session, asked=LOGGED_IN + 50.0)

    def renew_and_judge() -> None:
        with turn.logged_in():
            session.progress.mark_renewed(LOGGED_IN + 60.0, [])
            turn.judge(stranger(request))

    with pytest.raises(AskAgain) as raised:
        renew_and_judge()
    assert raised.value.request.url == PAGE
    assert session.progress.logged_in_at == LOGGED_IN + 60.0


def test_a_strangers_page_of_the_current_login_ends_the_session(session: Session) -> None:
    turn, request = a_turn(session, asked=LOGGED_IN + 70.0)
    with pytest.raises(AskAgain) as raised, turn.logged_in():
        turn.judge(stranger(request))
    assert raised.value.request.url == PAGE
    assert session.progress.logged_in_at is None
    assert session.progress.ends_at(request) == 1
