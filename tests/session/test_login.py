"""The page at which a login has ended."""

from __future__ import annotations

from pathlib import Path

from crawler import Request, Response, Session, Settings
from crawler.session.login import asks_again, facts, save

FORM = "<form method=post><input name=user><input type=password name=password></form>"


def page(body: str, url: str = "http://club.example/login", method: str = "POST") -> Response:
    headers = {"Content-Type": "text/html"}
    return Response(url, body.encode(), headers=headers, request=Request(url, method=method))


def test_the_form_once_more_is_detected() -> None:
    with Session("account", Settings()) as session:
        session.progress.evidence.login_pages.add("http://club.example/login")
        assert asks_again(session, page(FORM))
        assert asks_again(session, page(FORM, method="GET"))
        assert asks_again(session, page(FORM, "http://club.example/session"))
        assert not asks_again(session, page("hello"))
        assert not asks_again(session, page("<form><input name=q></form>"))
        assert not asks_again(session, page(FORM, "http://club.example/account", "GET"))


def test_a_page_is_described_by_address_status_and_title() -> None:
    login = page("<title> Please\n log in </title>", "http://me:pw@club.example/login")
    assert facts(login) == ["at http://***@club.example/login", "status 200", "'Please log in'"]
    assert facts(Response("http://club.example/x", b"\0", status=403)) == [
        "at http://club.example/x",
        "status 403",
    ]


def test_a_page_is_saved_without_secrets(tmp_path: Path) -> None:
    with Session("account:ann/b", Settings()) as session:
        session.mask.add("hunter2")
        (place,) = save(session, page("your password is hunter2"), tmp_path / "pages")
    path = tmp_path / "pages" / "login-account_ann_b.html"
    assert place == f"saved as {path}"
    assert path.read_text("utf-8") == "your password is *****"
    assert path.stat().st_mode & 0o777 == 0o600
