"""The shapes of URLs, and URLs without their secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import urls
from crawler.url_words.shapes import LONGEST, masked, page_shape_of, shape_of

HOME = "https://x.example"
HEX = "0123456789abcdef0123456789abcdef"

SHAPES = [
    ("/wiki/Start?do=revert&rev=17&sectok=0f1e", "/wiki/{x}?do=revert&rev={n}&sectok={token}"),
    ("/posts/5/delete", "/posts/{n}/delete"),
    ("/posts/5/delete/", "/posts/{n}/delete/"),
    ("/users/bob/follow", "/users/{x}/follow"),
    ("/day/2026-11-28/delete", "/day/{date}/delete"),
    ("/logout", "/logout"),
    ("/bye", "/bye"),
    ("/bye;jsessionid=0A1B", "/bye"),
    ("/page?do=edit", "/page?do=edit"),
    ("/welcome?do=edit", "/{x}?do=edit"),
    ("/a/logout;jsessionid=0A1B", "/a/logout"),
    (f"/index.php?task=user.logout&{HEX}=1", "/index.php?task=user.logout&{token}={n}"),
    (f"/index.php?action=logout;sesc={HEX}", "/index.php?action=logout&sesc={token}"),
    (f"/cart/add/5/form_key/{HEX}/", "/cart/add/{n}/form_key/{token}/"),
    ("/a.php?action=show5&id=7&x=y&z=", "/a.php?action={x}&id={n}&x={x}&z="),
    ("", "/"),
]


@pytest.mark.parametrize(("path", "shape"), SHAPES)
def test_shapes(path: str, shape: str) -> None:
    assert shape_of(HOME + path) == shape


def test_links_of_one_kind_have_one_shape() -> None:
    revert = {
        shape_of(f"{HOME}/wiki/{page}?do=revert&rev={n}&sectok={n:032x}")
        for n, page in enumerate(["Start", "reset", "Über_uns", "a:b", "17", "2026-01-01"])
    }
    assert revert <= {
        f"/wiki/{{{name}}}?do=revert&rev={{n}}&sectok={{token}}" for name in ("x", "n", "date")
    }


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/shop/cart", "/shop/cart"),
        ("/shop/red-hat", "/shop/{x}"),
        ("/shop/17", "/shop/{n}"),
        ("/shop/page2.html", "/shop/page{n}.html"),
        ("/users/bob/orders", "/users/bob/orders"),
        ("/page2", "/page{n}"),
        ("/index.php?rev=17&do=edit", "/index.php?do=edit&rev={n}"),
        (f"/orders?b=x&a={HEX}", "/orders?a={token}&b={x}"),
        ("", "/"),
    ],
)
def test_shapes_of_pages_keep_plain_words(path: str, shape: str) -> None:
    assert page_shape_of(HOME + path) == shape


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a?do=revert&sectok=0f1e", "/a?do=revert&sectok=***"),
        ("/a?_wpnonce=1&id=5", "/a?_wpnonce=***&id=5"),
        (f"/a?x={HEX}", "/a?x=***"),
        (f"/a?task=logout&{HEX}=1", "/a?task=logout&***=***"),
        (f"/a?action=logout;f0a1b2c3={HEX}", "/a?action=logout&f0a1b2c3=***"),
        (f"/unsubscribe/{HEX}", "/unsubscribe/***"),
        ("/cart/add/5/form_key/abc/", "/cart/add/5/form_key/***/"),
        ("/logout;jsessionid=0A1B", "/logout;jsessionid=***"),
        ("/a?access_token=abc&sid=5&password=x", "/a?access_token=***&sid=***&password=***"),
        (
            "/posts/how-to-delete-a-file-in-2024?page=2",
            "/posts/how-to-delete-a-file-in-2024?page=2",
        ),
    ],
)
def test_secrets_are_masked(path: str, expected: str) -> None:
    assert masked(HOME + path) == HOME + expected
    assert masked(masked(HOME + path)) == masked(HOME + path)


def test_user_and_password_are_masked() -> None:
    assert masked("https://me:secret@x.example/logout") == "https://***@x.example/logout"


@given(st.text())
def test_no_url_is_too_strange(text: str) -> None:
    for path in ("/" + text, "/?" + text):
        url = urls.normalise(HOME + path) or HOME
        assert len(shape_of(url)) <= LONGEST
        assert len(page_shape_of(url)) <= LONGEST
        assert masked(url).startswith(HOME)
