"""The signs of effects on a page: the elements of its links, and the fields of its forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Response
from crawler.job.lookup import skipped_links
from crawler.worker.unsafe.links import UnsafeLinkFilter
from crawler.worker.unsafe.pages import Page
from tests.jobs import run_job
from tests.sites import Site
from tests.worker.test_unsafe_links import Member, paths

HOME = "https://x.example"
HTML = {"Content-Type": "text/html"}


def page(body: str, path: str = "/list", encoding: str = "utf-8") -> Page:
    headers = {"Content-Type": f"text/html; charset={encoding}"}
    url = HOME + path
    return Page(url, Response(url, body.encode(encoding), headers=headers))


def sign(attributes: str, encoding: str = "utf-8") -> str:
    """Return what a page says of its link to /x that has these attributes."""
    return page(f'<p><a href="/x" {attributes}>x</a>', encoding=encoding).sign(HOME + "/x")


ACTING = [
    ('data-method="post"', "data-method"),
    ('data-method="delete" rel="nofollow"', "data-method"),
    ('DATA-method="PUT"', "data-method"),
    ('data-turbo-method="patch"', "data-turbo-method"),
    ('up-method="delete"', "up-method"),
    ('data-confirm="Are you sure?"', "data-confirm"),
    ('data-turbo-confirm="Sure?"', "data-turbo-confirm"),
    ('hx-post="/x"', "hx-post"),
    ('hx-put="/x/1"', "hx-put"),
    ('hx-patch="/x"', "hx-patch"),
    ('data-hx-delete="/x"', "data-hx-delete"),
    ('hx-get="/x" hx-confirm="Sure?"', "hx-confirm"),
    ("onclick=\"return confirm('Really?')\"", "onclick"),
    ("onclick=\"if (!confirm('Really?')) return false;\"", "onclick"),
    ('onClick="document.forms[0].submit(); return false"', "onclick"),
    ('role="button" onclick="this.closest(\'form\').submit()"', "onclick"),
    ("onclick=\"$.post('/x', {id: 5}); return false\"", "onclick"),
    ("onclick=\"fetch('/x', {method: 'POST'})\"", "onclick"),
    ('onclick="deletePost(5)"', "onclick"),
    ('onclick="return app.removeItem(5)"', "onclick"),
    ('@click.prevent="destroy(5)"', "@click.prevent"),
    ('wire:click="deletePost(5)"', "wire:click"),
    ('ONCLICK = "remove()"', "onclick"),
]
USUAL = [
    "",
    'class="btn" role="button"',
    'role="button" class="delete"',
    'data-method="get"',
    'data-method=""',
    'data-confirm="false"',
    'hx-get="/x" hx-target="#main"',
    'hx-boost="true"',
    "onclick=\"ga('send', 'event', 'x')\"",
    'onclick="return false"',
    'onclick="toggleMenu()"',
    'onclick="openDetails(5)"',
    'onclick="track(this); confirmed = true"',
    'title="Delete" data-action="click->menu#open"',
    '@click="open = !open"',
]


@pytest.mark.parametrize(("attributes", "name"), ACTING)
def test_elements_with_other_effects(attributes: str, name: str) -> None:
    assert sign(attributes) == name
    assert sign(attributes, encoding="utf-16") == name


@pytest.mark.parametrize("attributes", USUAL)
def test_usual_links(attributes: str) -> None:
    assert sign(attributes) == ""


def test_a_usual_link_to_the_same_page_counts() -> None:
    show = '<a href="/posts/5">Show</a>'
    destroy = '<a href="/posts/5" data-method="delete">Destroy</a>'
    assert page(destroy).sign(HOME + "/posts/5") == "data-method"
    for body in (show + destroy, destroy + show, show.replace("/posts", "../posts") + destroy):
        assert page(body).sign(HOME + "/posts/5") == ""


def test_links_are_resolved_against_the_base() -> None:
    body = '<base href="/a/"><a href="b?x=1&amp;y=%C3%BC#c" data-method="post">x</a>'
    assert page(body).sign(HOME + "/a/b?x=1&y=%C3%BC") == "data-method"


def test_a_page_that_is_no_html_says_nothing() -> None:
    body = b'<a href="/x" data-method="post">x</a>'
    response = Response(HOME, body, headers={"Content-Type": "text/plain"})
    assert Page(HOME, response).sign(HOME + "/x") == ""
    assert Page(HOME).sign(HOME + "/x") == ""
    assert Page(HOME, Response(HOME, b"", headers=HTML)).sign(HOME + "/x") == ""


# Values of hidden fields

VALUE = "f3a9c0d1e2b4a5968778"


def form(fields: str, method: str = "post") -> str:
    return f'<form method="{method}" action="/save">{fields}</form>'


def hidden(name: str, value: str = VALUE) -> str:
    return f'<input type="hidden" name="{name}" value="{value}">'


@pytest.mark.parametrize("name", ["check", "_csrf", "s", "k", "token", "magic"])
def test_the_value_of_a_hidden_field_is_a_token(name: str) -> None:
    listed = page(form(hidden(name)))
    for path in (f"/x?k={VALUE}", f"/x?id=5&anything={VALUE}", f"/x?k={VALUE}&id=5"):
        assert listed.sign(HOME + path) == f"the value of the field {name}"
    assert listed.sign(HOME + "/x?k=f3a9c0d1e2b4a5968779") == ""
    assert listed.sign(HOME + f"/x/{VALUE}") == ""


def test_base64_values_are_compared_as_they_are_sent() -> None:
    value = "dGhpcyBpcyBhIHRva2Vu/MTIzNA=="
    listed = page(form(hidden("check", value)))
    for spelling in (value, "dGhpcyBpcyBhIHRva2Vu%2FMTIzNA%3D%3D"):
        assert listed.sign(f"{HOME}/x?k={spelling}") == "the value of the field check"


@pytest.mark.parametrize(
    "body",
    [
        form(hidden("id")),
        form(hidden("post_id")),
        form(hidden("next")),
        form(hidden("cursor")),
        form(hidden("check"), method="get"),
        form(hidden("check").replace("hidden", "text")),
        form(hidden("check", "0f1e2d3c-0f1e-4d3c-8f1e-0f1e2d3c4b5a")),
        form(hidden("check", "summer-collection-of-lamps")),
        form(hidden("check", "2024")),
        hidden("check"),
        form(""),
    ],
)
def test_other_fields_are_not(body: str) -> None:
    value = body.partition('value="')[2].partition('"')[0] or VALUE
    assert page(body).sign(f"{HOME}/x?k={value}") == ""


def test_a_value_of_the_pages_own_address_is_the_sessions() -> None:
    assert page(form(hidden("s")), path=f"/list?s={VALUE}").sign(f"{HOME}/x?s={VALUE}") == ""


def test_the_filter_names_the_sign_of_the_page() -> None:
    listed = page('<a href="/x" data-method="post">x</a><a href="/logout" hx-post="/logout">x</a>')
    assert UnsafeLinkFilter().objection(HOME + "/x", listed) == ("destructive", "data-method")
    assert UnsafeLinkFilter().objection(HOME + "/logout", listed) == ("logs out", "logout")
    assert UnsafeLinkFilter(follow_logout=True).objection(HOME + "/logout", listed) is None
    assert UnsafeLinkFilter(follow_destructive=True).objection(HOME + "/x", listed) is None
    assert UnsafeLinkFilter(safe_urls=["/x"]).objection(HOME + "/x", listed) is None


# In a job

BODY = (
    '<a href="/posts/5" data-method="delete">Destroy</a><a href="/posts/6">Show</a>'
    '<a href="/posts/6" data-method="delete">Destroy</a><a href="/tick" hx-post="/tick">x</a>'
    f'<a href="/go?k={VALUE}">x</a>{form(hidden("check"))}'
)
WAYS: list[Callable[[Any], Any]] = [
    lambda response: response.follow_all(),
    lambda response: response.follow_all("a"),
    lambda response: map(response.follow, response.soup.select("a")),
    lambda response: map(response.follow, response.links()),
    lambda response: map(response.follow, response.css("a::attr(href)").getall()),
    lambda response: (response.soup, response.follow_all())[1],
]


@pytest.mark.parametrize("number", range(len(WAYS)))
def test_they_are_not_asked_by_any_way_to_follow(tmp_path: Path, site: Site, number: int) -> None:
    class Blog(Member):
        def parse(self, response: Any) -> Iterator[Any]:
            if response.url.endswith(("/", "/posts/6")):
                yield from WAYS[number](response)

    site.pages["/"] = BODY
    site.otherwise = lambda visit: "x"
    run_job(Blog, tmp_path, site.url + "/")
    assert paths(site) == {"/", "/posts/6"}
    assert {(row.shape, row.sign) for row in skipped_links(tmp_path)} == {
        ("/posts/{n}", "data-method"),
        ("/tick", "hx-post"),
        ("/{x}?k={token}", "the value of the field check"),
    }


def test_a_job_that_does_not_log_in_follows_them(tmp_path: Path, site: Site) -> None:
    class Visitor(Member):
        @classmethod
        def logs_in(cls) -> bool:
            return False

    site.pages["/"] = BODY
    site.otherwise = lambda visit: "x"
    run_job(Visitor, tmp_path, site.url + "/")
    assert paths(site) == {"/", "/posts/5", "/posts/6", "/tick", f"/go?k={VALUE}"}
