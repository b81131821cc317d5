"""HTML forms → requests."""

from __future__ import annotations

import email
import email.policy
import re
from typing import Any

import pytest
from lxml import etree

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing import forms
from crawler.parsing.html_tree import parse
from crawler.parsing.response import Response
from crawler.request import Request, fingerprint
from tests.conformance import expect_misses, rows

PAGE = "https://shop.example/account/login?next=/"

VECTORS = expect_misses(
    rows("forms/form2request.jsonl"),
    {
        "form2request/29": "a plain button is no submit button, so browsers never send it "
        "(HTML standard, constructing the entry list)",
    },
)


@pytest.mark.parametrize("row", VECTORS)
def test_form2request(row: dict[str, Any]) -> None:
    root = etree.HTML(row["html"])
    options = dict(row["options"])
    if isinstance(options.get("click"), str):
        options["click"] = root.xpath(options["click"])[0]
    form = forms.find(root, None, row["base_url"])
    if "raises" in row:
        with pytest.raises(SpiderError):
            form.to_request(**options)
        return
    request = form.to_request(**options)
    expected = row["expected"]
    assert request.url == urls.normalise(expected["url"])
    assert request.method == expected["method"]
    assert list((request.headers or {}).items()) == [tuple(one) for one in expected["headers"]]
    assert (request.data or b"") == expected["body"].encode()


def form_of(html: str, css: str | None = None, base: str = PAGE) -> forms.Form:
    return forms.find(etree.HTML(html), css, base)


LOGIN = """
  <form id=search action=/search><input name=q></form>
  <form id=login action=../session method=post>
    <input type=hidden name=csrf value=t0ken>
    <label for=u>User</label><input id=u name=user>
    <input type=password name=password>
    <input type=checkbox name=stay><input type=checkbox name=news checked>
    <button name=go value=in>Log in</button><button id=guest name=as value=guest>Guest</button>
  </form>
"""


def test_log_in() -> None:
    form = form_of(LOGIN, "#login")
    assert form.fields == [("csrf", "t0ken"), ("user", ""), ("password", ""), ("news", "on")]
    request = form.to_request({"user": "ann", "password": "ä &="}, callback="home", priority=5)
    assert request.url == "https://shop.example/session"
    assert request.method == "POST"
    assert request.data == b"csrf=t0ken&news=on&user=ann&password=%C3%A4+%26%3D&go=in"
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert request.callback == "home"
    assert request.priority == 5


@pytest.mark.parametrize("css", ["#login", "form[method=post]", "input[name=user]", "label", "#u"])
def test_a_form_is_found_by_anything_in_it(css: str) -> None:
    assert form_of(LOGIN, css).element.get("id") == "login"


def test_a_form_is_found_by_an_element_whose_name_lxml_refuses() -> None:
    root = parse(b"<form><i\x1f><input name=a value=b>")
    form = forms.find(root, "form > *", PAGE)
    assert form.fields == [("a", "b")]


def test_without_a_selector_it_is_the_first_form() -> None:
    assert form_of(LOGIN).to_request({"q": "tea & milk"}).url == (
        "https://shop.example/search?q=tea+%26+milk"
    )


@pytest.mark.parametrize(
    ("html", "css", "says"),
    [
        ("<p>nothing", None, "there is no form on https://shop.example/account/login"),
        (LOGIN, "#signup", "'#signup' on https://shop.example/account/login"),
        ("<p id=x><form></form>", "#x", "not in a form"),
        (LOGIN, "form[", "not a CSS selector"),
    ],
)
def test_a_form_that_is_not_there_is_named(html: str, css: str | None, says: str) -> None:
    with pytest.raises(SpiderError, match=re.escape(says)):
        form_of(html, css)


def test_passwords_in_the_pages_url_are_not_shown() -> None:
    with pytest.raises(SpiderError) as caught:
        form_of("<p>", None, "https://u:secret@shop.example/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("click", "sent"),
    [
        (None, "go=in"),
        (True, "go=in"),
        ("#guest", "as=guest"),
        ("button[name=as]", "as=guest"),
        (False, ""),
    ],
)
def test_the_button_that_is_clicked(click: bool | str | None, sent: str) -> None:
    request = form_of(LOGIN, "#login").to_request({"news": None}, click=click)
    assert request.data.decode().partition("password=")[2] == (f"&{sent}" if sent else "")


def test_a_button_can_be_given_as_its_element() -> None:
    root = etree.HTML(LOGIN)
    button = root.xpath("//button[@id='guest']")[0]
    assert b"as=guest" in forms.find(root, "#login", PAGE).to_request(click=button).data


@pytest.mark.parametrize("click", ["#nothing", "#u", "#off"])
def test_a_button_that_is_not_there_is_named(click: str) -> None:
    form = form_of(LOGIN.replace("</form>", "<button id=off disabled>x</button></form>"), "#login")
    with pytest.raises(SpiderError, match=re.escape(repr(click))):
        form.to_request(click=click)


def test_a_button_can_change_everything() -> None:
    html = """<form action=/a method=post enctype=multipart/form-data><input name=x value=1>
      <button formaction=/b formmethod=get>Go</button></form>"""
    request = form_of(html).to_request()
    assert (request.method, request.url, request.data) == (
        "GET",
        "https://shop.example/b?x=1",
        None,
    )


def test_controls_that_a_browser_does_not_send() -> None:
    html = """<form>
      <input name=a value=1 disabled>
      <fieldset disabled><legend><input name=b value=2></legend><input name=c value=3></fieldset>
      <fieldset disabled><input name=d value=4><fieldset><legend><input name=e></legend></fieldset>
      </fieldset>
      <input type=button name=f value=6><input type=reset name=g value=7>
      <select name=h><option selected disabled value="">Choose</option><option>8</option></select>
      <input value=9>
    </form>"""
    assert form_of(html).fields == [("b", "2")]


def test_controls_elsewhere_in_the_page_belong_to_the_form_that_they_name() -> None:
    html = """<input name=a value=1 form=f><form id=f><input name=b value=2>
      <input name=c value=3 form=other></form><button name=d value=4 form=f>Go</button>"""
    form = form_of(html)
    assert form.fields == [("a", "1"), ("b", "2")]
    assert form.to_request().url.endswith("?a=1&b=2&d=4")
    assert form_of(html, "button").element is not None


@pytest.mark.parametrize("action", ["", "action", "action=''", "action=' '"])
def test_a_form_without_an_action_goes_to_its_page_whatever_the_base(action: str) -> None:
    root = etree.HTML(f"<form method=post {action}>")
    form = forms.find(root, None, "https://cdn.example/", page=PAGE)
    assert form.to_request().url == PAGE


def test_the_base_of_a_page_does_not_matter_to_a_form_without_an_action() -> None:
    page = Response(PAGE, b"<base href='https://cdn.example/x'><form method=post>")
    assert page.form().to_request().url == PAGE


@pytest.mark.parametrize("action", ["javascript:void(0)", "mailto:a@b.example", "http://[bad"])
def test_an_action_that_cannot_be_asked_is_named(action: str) -> None:
    form = form_of(f"<form action='{action}'><input name=a>")
    assert form.fields == [("a", "")]
    with pytest.raises(SpiderError, match=re.escape(action)):
        form.to_request()


def test_values_are_filled_in() -> None:
    form = form_of("<form method=post><input name=a value=1><input name=b value=2></form>")
    assert form.to_request({"a": None, "c": 3, "d": ["x", 4]}).data == b"b=2&c=3&d=x&d=4"
    assert form.to_request([("c", "x"), ("c", "y")]).data == b"a=1&b=2&c=x&c=y"
    assert form.to_request({"a": b"\xe4"}).data == b"b=2&a=%E4"
    with pytest.raises(SpiderError, match="such as 'on'"):
        form.to_request({"a": True})


def test_headers_of_the_caller_are_added() -> None:
    form = form_of("<form method=post>")
    assert form.to_request(headers={"X-Requested-With": "XMLHttpRequest"}).headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Requested-With": "XMLHttpRequest",
    }


UPLOAD = """<form method=post enctype=multipart/form-data>
  <input name=title value="Über"><input type=file name=file><button name=go value=1>Go</button>"""


def parts(request: Request) -> list[tuple[str, str | None, bytes]]:
    """Name, file name and content of each part, read by the standard library."""
    content_type = (request.headers or {})["Content-Type"]
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.data, policy=email.policy.HTTP)
    found = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((str(name), part.get_filename(), content))
    return found


def test_files_are_uploaded() -> None:
    form = form_of(UPLOAD)
    request = form.to_request({"file": ("a.txt", b"\x00\xff", "text/plain"), "n": ["1", "2"]})
    assert parts(request) == [
        ("title", None, "Über".encode()),
        ("n", None, b"1"),
        ("n", None, b"2"),
        ("go", None, b"1"),
        ("file", "a.txt", b"\x00\xff"),
    ]
    assert b"Content-Type: text/plain" in request.data


def test_a_file_that_is_left_alone_is_sent_without_name_and_content() -> None:
    request = form_of(UPLOAD).to_request()
    assert b'name="file"; filename=""' in request.data


def test_the_same_upload_has_the_same_fingerprint() -> None:
    one, two = form_of(UPLOAD).to_request({"x": "1"}), form_of(UPLOAD).to_request({"x": "1"})
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(form_of(UPLOAD).to_request({"x": "2"}))


def test_a_file_makes_any_post_multipart_and_cannot_be_sent_with_get() -> None:
    file = {"f": ("a.txt", b"x", "text/plain")}
    request = form_of("<form method=post>").to_request(file)
    assert parts(request) == [("f", "a.txt", b"x")]
    with pytest.raises(SpiderError, match="POST"):
        form_of("<form>").to_request(file)


def test_a_page_read_as_xml_has_forms_too() -> None:
    xml = """<html xmlns="http://www.w3.org/1999/xhtml"><body><form action="/x" method="post">
      <select name="a"><option value="1"/><option selected="selected">2</option></select>
      <textarea name="b">t</textarea></form></body></html>"""
    form = forms.find(etree.fromstring(xml), None, PAGE)
    assert form.to_request().data == b"a=2&b=t"


def test_a_form_says_which_it_is() -> None:
    assert repr(form_of(LOGIN, "#login")) == "<Form id='login'>"
    assert repr(form_of("<form name=f action=/x>")) == "<Form name='f'>"
    assert repr(form_of("<form>")) == "<Form>"
