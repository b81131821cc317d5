"""The meaning of a response for the session that it came to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawler.parsing.login_marks import DeclaredMarks
from crawler.parsing.response import Response
from crawler.request import Hop
from crawler.session.evidence import Evidence, Kind, Weight

SITE = "http://club.example"
FORM = "<form action=/login method=post><input name=user><input type=password name=pw></form>"
CHANGE = "<form><input type=password name=old><input type=password name=new></form>"


def page(body: str = "x", path: str = "/a", status: int = 200, **options: Any) -> Response:
    headers = {"Content-Type": "text/html", **options.pop("headers", {})}
    return Response(SITE + path, body.encode(), status=status, headers=headers, **options)


def api(data: Any, path: str = "/api", status: int = 200) -> Response:
    body = json.dumps(data).encode()
    return Response(SITE + path, body, status=status, headers={"Content-Type": "application/json"})


def evidence(member: Response, stranger: Response, **marks: Any) -> Evidence:
    known = Evidence(DeclaredMarks(**marks))
    known.add_login_form(page(FORM, "/login").form().element, f"{SITE}/login")
    known.probe(SITE).choose(member.url, known.view(member), known.view(stranger))
    return known


def weigh(known: Evidence, response: Response) -> tuple[Weight, str]:
    return tuple(known.weigh(response))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "logout",
    [
        "<a href=/logout>x</a>",
        "<a href='/index.php?page=logout&token=1'>x</a>",
        "<a href='?do=logout'>x</a>",
        "<a href=/exit>Log out</a>",
        "<a href=/end>Abmelden</a>",
        "<form action=/users/sign_out><button>x</button></form>",
        "<form action=/end><button>Se déconnecter</button></form>",
        "<form action=/end><input type=submit value='Sign out'></form>",
        "<a href=/ende><img title=x> ログアウト</a>",
        "<a href=/salir>x</a>",
        "<a href='/wiki/Special:UserLogout?returnto=Start'>x</a>",
        "<a href='/déconnexion'>x</a>",
        "<a href=/end>Выход</a>",
        "<a href='javascript:doLogout()'>x</a>",
    ],
)
def test_a_logout_link_that_strangers_do_not_get_proves_a_member(logout: str) -> None:
    known = evidence(page(logout), page(FORM))
    assert weigh(known, page(f"<p>more {logout}")) == (Weight.MEMBER, "")
    assert weigh(known, page("<p>less")) == (Weight.DOUBTFUL, Kind.NO_LOGOUT_LINK)


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_that_has_no_body_lacks_no_logout_link(status: int) -> None:
    known = evidence(page("<a href=/logout>x</a>"), page(FORM))
    assert weigh(known, page("", status=200))[0] is Weight.DOUBTFUL
    assert weigh(known, page("", status=status)) == (Weight.OPEN, "")
    view = known.view(page(f"<a href=/logout>x</a>{FORM}", status=status))
    assert (view.logout_marks, view.login_form, view.password_form) == ((), False, False)


def test_a_view_has_what_tells_visitors_apart() -> None:
    known = evidence(page("member"), page(FORM), member_mark=".me")
    known.name = "ada"
    view = known.view(page(f"<p class=me>ada {FORM}"))
    assert (view.shows_name, view.login_form, view.member_mark) == (True, True, True)
    view = known.view(page(f"<p>bert {CHANGE}"))
    assert (view.shows_name, view.login_form, view.member_mark) == (False, False, False)
    redirect = page("", status=302, headers={"Location": "/elsewhere"})
    assert known.view(redirect).address == f"{SITE}/elsewhere"
    assert known.view(page("x")).address == f"{SITE}/a"


def test_a_probe_page_is_told_by_the_name_that_only_the_account_sees() -> None:
    for stranger, is_told in (("x", True), ("ada, one of our members", False)):
        known = evidence(page("member"), page(FORM))
        known.name = "ada"
        probe = known.probe(SITE)
        assert not probe.is_told_by_name
        probe.choose(SITE, known.view(page("hello ada")), known.view(page(f"{FORM}{stranger}")))
        assert probe.is_told_by_name is is_told


def test_a_page_has_the_login_form_whatever_else_it_has() -> None:
    known = evidence(page("member"), page(FORM))
    assert known.has_login_form(page(f"{CHANGE}{FORM}{CHANGE}"))
    assert not known.has_login_form(page(CHANGE))
    assert not known.has_login_form(page("x"))
    assert not known.has_login_form(api({"form": FORM}))


def test_a_text_about_logging_out_proves_nothing() -> None:
    known = evidence(page("<a href=/logout>x</a>"), page(""))
    for body in ("<p>/logout", "<a href=/wiki/logout>x</a>", "<a href=//other.example/logout>x"):
        assert weigh(known, page(body))[0] is Weight.DOUBTFUL


def test_the_token_of_a_logout_link_does_not_count() -> None:
    links = [f"<a href='/index.php?action=logout;sesc={n:032x}'>x</a>" for n in range(3)]
    known = evidence(page(links[0]), page(FORM))
    assert weigh(known, page(links[1])) == (Weight.MEMBER, "")
    assert weigh(known, page(links[2])) == (Weight.MEMBER, "")


@pytest.mark.parametrize(
    "link",
    [
        "<a href=/docs/logout>x</a>",
        "<a href='/login?next=/logout'>x</a>",
        "<a href='/search?q=logout'>x</a>",
        "<a href=/levels>SLO</a>",
        "<a href='mailto:help@x.example?subject=logout'>x</a>",
    ],
)
def test_a_link_to_a_page_about_logging_out_proves_nothing(link: str) -> None:
    known = evidence(page(link + "<a href=/logout>x</a>"), page(FORM))
    assert weigh(known, page(link))[0] is Weight.DOUBTFUL


def test_a_logout_link_that_all_get_proves_nothing() -> None:
    logout = "<a href=/logout>x</a>"
    known = evidence(page(logout + "hello ann"), page(logout, status=403))
    assert weigh(known, page(logout)) == (Weight.OPEN, "")


def test_pages_of_a_kind_that_members_get_without_a_logout_link_are_open() -> None:
    logout = "<a href=/logout>x</a>"
    known = evidence(page(logout, "/"), page(FORM, "/"))
    assert weigh(known, page(logout, "/a/1"))[0] is Weight.MEMBER
    assert weigh(known, page("", "/print/1"))[0] is Weight.DOUBTFUL
    known.probe(SITE).add_unmarked(f"{SITE}/print/1")
    assert weigh(known, page("", "/print/2"))[0] is Weight.OPEN
    for path in ("/a/2", "/print", "/print/all", "/print/2?do=edit"):
        assert weigh(known, page("", path))[0] is Weight.DOUBTFUL, path


@pytest.mark.parametrize("status", [401, 403, 404, 407, 410, 419, 440, 498])
def test_statuses_that_strangers_get_are_doubtful(status: int) -> None:
    assert weigh(Evidence(), page(status=status)) == (Weight.DOUBTFUL, f"status {status}")
    assert weigh(Evidence(), api({}, status=status)) == (Weight.DOUBTFUL, f"status {status}")


@pytest.mark.parametrize("status", [200, 301, 400, 500, 503])
def test_other_statuses_are_open(status: int) -> None:
    assert weigh(Evidence(), page(status=status)) == (Weight.OPEN, "")


@pytest.mark.parametrize(
    ("location", "finding"),
    [
        ("/login", (Weight.DOUBTFUL, Kind.TO_LOGIN)),
        ("/login?next=/a", (Weight.DOUBTFUL, Kind.TO_LOGIN)),
        ("/b", (Weight.OPEN, "")),
        ("http://sso.example/authorize", (Weight.DOUBTFUL, "a redirect to another host")),
        ("mailto:x", (Weight.OPEN, "")),
    ],
)
def test_redirects(location: str, finding: Any) -> None:
    known = evidence(page(), page(FORM))
    response = page("", status=302, headers={"Location": location})
    assert weigh(known, response) == finding


def test_a_front_controller_has_a_login_page_and_others_at_one_path() -> None:
    known = Evidence()
    known.add_login_form(page(FORM).form().element, f"{SITE}/index.php?page=login&next=home")
    assert known.is_login_page(f"{SITE}/index.php?page=login&x=1")
    assert not known.is_login_page(f"{SITE}/index.php?page=home")
    assert not known.is_login_page(f"{SITE}/index.php")


def test_a_page_that_was_redirected_to_the_login_is_doubtful() -> None:
    known = evidence(page(), page(FORM))
    arrived = page("", "/login", history=[Hop(f"{SITE}/a", 302)])
    assert weigh(known, arrived) == (Weight.DOUBTFUL, Kind.TO_LOGIN)


def test_the_login_form_at_any_url_is_doubtful_unless_members_have_it_too() -> None:
    known = evidence(page("hello"), page(FORM))
    assert weigh(known, page(FORM, "/b")) == (Weight.DOUBTFUL, "the login form")
    box = evidence(page(FORM + "<a href=/logout>x</a>"), page(FORM))
    assert weigh(box, page(FORM + "<a href=/logout>x</a>"))[0] is Weight.MEMBER


def test_another_form_for_a_password_is_doubtful_but_not_one_to_change_it() -> None:
    known = evidence(page("hello"), page(FORM))
    other = "<form><input name=mail><input type=password name=secret></form>"
    assert weigh(known, page(other))[0] is Weight.DOUBTFUL
    assert weigh(known, page(CHANGE))[0] is Weight.OPEN


def test_marks_that_the_spider_declares() -> None:
    known = evidence(page("<b class=me>x</b>"), page(FORM), member_mark="b.me")
    assert weigh(known, page("<b class=me>y</b>"))[0] is Weight.MEMBER
    assert weigh(known, page("<b>y</b>")) == (Weight.DOUBTFUL, "no member_mark")
    for declared in ("please log in", ["x y", "log in"], lambda response: b"log" in response.body):
        says = Evidence(DeclaredMarks(logged_out_text=declared))
        assert weigh(says, page("please log in")) == (Weight.DOUBTFUL, "logged_out_text")
        assert weigh(says, page("hello")) == (Weight.OPEN, "")


def test_json_with_the_keys_that_strangers_get_is_doubtful() -> None:
    known = evidence(api({"items": []}), api({"error": "unauthenticated"}))
    assert known.probe(SITE).can_tell
    assert weigh(known, api({"error": "unauthenticated"}, "/api/2"))[0] is Weight.DOUBTFUL
    assert weigh(known, api({"name": "x"}, "/api/2"))[0] is Weight.OPEN


def test_the_probe_page_is_compared_by_what_differs() -> None:
    known = evidence(page("<a href=/logout>x</a> hello"), page(FORM))
    assert (
        known.probe(SITE).is_member_view(known.view(page("<a href=/logout>x</a> changed"))) is True
    )
    assert known.probe(SITE).is_member_view(known.view(page(FORM + "changed"))) is False
    for status in (404, 429, 500, 503):
        assert known.probe(SITE).is_member_view(known.view(page("", status=status))) is None


def test_two_views_that_are_alike_tell_nothing() -> None:
    known = evidence(page("hello"), page("hello"))
    assert not known.probe(SITE).can_tell
    assert known.probe(SITE).url == ""
    assert known.probe(SITE).is_member_view(known.view(page("hello"))) is None


def test_evidence_survives_as_a_record() -> None:
    known = evidence(page("<a href=/logout>x</a>"), page(FORM))
    again = Evidence()
    again.restore(known.record())
    assert again.probe(SITE).can_tell
    assert again.probe(SITE).describe() == known.probe(SITE).describe()
    assert weigh(again, page("<a href=/logout>x</a>"))[0] is Weight.MEMBER
    assert weigh(again, page(FORM, "/b"))[0] is Weight.DOUBTFUL
