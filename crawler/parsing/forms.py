"""HTML forms → requests, as a browser would send them.

The form2request library knows methods, buttons and values. Before it sees a form, what it does
not know is settled here: disabled controls and plain buttons are left out, controls that stand
elsewhere in the page and belong to the form are taken in, the action is resolved as browsers do;
``multipart/form-data`` is encoded afterwards. Fields are always sent in UTF-8.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import lxml.html
from form2request import form2request
from lxml import etree
from urllib3.filepost import encode_multipart_formdata

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing.links import css_path
from crawler.request import Request

File: TypeAlias = tuple[str, bytes, str]
"""A file to upload: its name, its content, its content type."""
Data: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""What to fill in: text, several texts, a ``File``, or ``None`` to leave the field out."""
Click: TypeAlias = bool | str | etree._Element | None
"""The button: ``None`` or ``True`` the first one, ``False`` none, an element, a CSS selector."""

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


def find(root: etree._Element, css: str | None, base: str, *, page: str | None = None) -> Form:
    """The form that ``css`` matches, itself or anything inside of it; ``None`` is the first form.

    ``base`` is what the action is resolved against; ``page`` the page's own URL if it differs,
    where a form without an action goes. Raises SpiderError if there is no such form.
    """
    where = urls.redacted(page or base)
    matches: list[etree._Element] = list(
        root.iter("{*}form") if css is None else css_path(css)(root)
    )
    named = _named(root)
    for element in matches:
        form = _owner(element, named)
        if form is not None:
            return Form(form, base, page=page)
    if css is None:
        raise SpiderError(f"there is no form on {where}")
    found = "what it matches is in no form" if matches else "it matches nothing"
    raise SpiderError(f"no form for {css!r} on {where}: {found}")


class Form:
    """One form of a page."""

    def __init__(self, element: etree._Element, base: str, *, page: str | None = None) -> None:
        self.element = element
        self.base = base
        self.page = page or base

    def __repr__(self) -> str:
        for name in ("id", "name", "action"):
            if value := self.element.get(name):
                return f"<Form {name}={value!r}>"
        return "<Form>"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values that a browser would send now, before any button is clicked."""
        copy, _ = _copy(self.element)
        copy.attrib.pop("action", None)  # may be anything, and does not matter here
        return _pairs(copy, None, button=False)

    @property
    def password_names(self) -> set[str]:
        """The names of the form's password fields."""
        return {str(field.get("name")) for field in self.element.iter("{*}input") if _hides(field)}

    def to_request(
        self,
        data: Data | None = None,
        *,
        click: Click = None,
        method: str | None = None,
        enctype: str | None = None,
        callback: str | Callable[..., object] = "parse",
        **options: Any,
    ) -> Request:
        """The request that a browser sends when the form is filled in with ``data``.

        Names that the form does not have are sent too, as scripts do. ``method`` and ``enctype``
        win over the form's own; ``options`` are further arguments of ``Request``. Raises
        SpiderError if the form cannot be sent.
        """
        copy, copies = _copy(self.element)
        button = self._button(click, copies)
        try:
            self._resolve_action(copy, button)
            sent_method, url, headers, body = _encode(copy, data, button, method, enctype)
        except (ValueError, NotImplementedError) as error:
            raise SpiderError(f"{self} on {urls.redacted(self.page)}: {error}") from None
        headers.update(options.pop("headers", None) or {})
        return Request(url, callback, sent_method, headers or None, body, **options)

    def _button(
        self, click: Click, copies: dict[etree._Element, etree._Element]
    ) -> etree._Element | bool:
        """The copy of the button that is clicked, or ``False``."""
        if click is False:
            return False
        buttons = {original: copy for original, copy in copies.items() if _submits(original)}
        if click is None:
            return next(iter(buttons.values()), False)
        if click is True:
            wanted = list(buttons)
        elif isinstance(click, str):
            wanted = css_path(click)(self.element.getroottree())
        else:
            wanted = [click]
        for element in wanted:
            if element in buttons:
                return buttons[element]
        named = "" if click is True else f" {click!r}"
        raise SpiderError(f"{self} on {urls.redacted(self.page)} has no button{named} to click")

    def _resolve_action(self, copy: etree._Element, button: etree._Element | bool) -> None:
        """Write the absolute URL into the copy. Raises ValueError if there is none."""
        own = None if isinstance(button, bool) else button.attrib.pop("formaction", None)
        action = (own or copy.get("action") or "").strip()
        url = urls.resolve(self.base, action) if action else urls.normalise(self.page)
        if url is None:
            raise ValueError(f"its action {urls.redacted(action)!r} is no http or https URL")
        copy.set("action", url)


def _hides(field: etree._Element) -> bool:
    return str(field.get("type", "")).lower() == "password"


def _encode(
    form: etree._Element,
    data: Data | None,
    button: etree._Element | bool,
    method: str | None,
    enctype: str | None,
) -> tuple[str, str, dict[str, str], bytes | None]:
    """Method, URL, headers and body. Raises ValueError or NotImplementedError."""
    texts, files = _split(data)
    wanted = (enctype or _declared_enctype(form, button)).lower()
    multipart = wanted == _MULTIPART or bool(files)
    if multipart:
        enctype = _URLENCODED
    sent = form2request(form, texts, click=button, method=method, enctype=enctype)
    url = urls.normalise(sent.url) or sent.url
    if sent.method == "GET":
        if files:
            raise ValueError("a file can only be sent with method POST")
        return "GET", url, {}, None
    if multipart:
        body, content_type = _multipart(form, _pairs(form, texts, button), files)
        return sent.method, url, {"Content-Type": content_type}, body
    return sent.method, url, dict(sent.headers), sent.body


def _pairs(
    form: etree._Element, texts: list[tuple[str, Any]] | None, button: etree._Element | bool
) -> list[tuple[str, str]]:
    """Names and values in the order in which they are sent."""
    sent = form2request(form, texts, click=button, method="POST", enctype=_URLENCODED)
    return parse_qsl(sent.body.decode(), keep_blank_values=True)


def _multipart(
    form: etree._Element, pairs: list[tuple[str, str]], files: list[tuple[str, File]]
) -> tuple[bytes, str]:
    """Body and content type. The same fields give the same bytes, and so the same fingerprint."""
    given = {name for name, _ in files}
    empty = {control.get("name") for control in form if control.get("type", "").lower() == "file"}
    parts: list[tuple[str, Any]] = [
        # A browser sends a file control that was left alone as a file without name and content.
        (name, ("", b"", "application/octet-stream") if name in empty and not value else value)
        for name, value in pairs
        if name not in given
    ]
    parts += files
    boundary = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    return encode_multipart_formdata(parts, boundary=boundary)


def _split(data: Data | None) -> tuple[list[tuple[str, Any]], list[tuple[str, File]]]:
    """Texts and files apart."""
    texts: list[tuple[str, Any]] = []
    files: list[tuple[str, File]] = []
    for name, value in data.items() if isinstance(data, Mapping) else data or ():
        if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], bytes):
            files.append((name, value))
        elif value is None or isinstance(value, (str, bytes)):
            texts.append((name, value))
        elif isinstance(value, bool):
            raise ValueError(f"field {name!r} is {value}; give the text to send, such as 'on'")
        elif isinstance(value, Iterable):
            texts.append((name, [str(one) for one in value]))
        else:
            texts.append((name, str(value)))
    return texts, files


# A copy of the form that holds what a browser would look at


def _copy(form: etree._Element) -> tuple[etree._Element, dict[etree._Element, etree._Element]]:
    """The form with its enabled controls side by side, and each control's copy.

    The copies are elements of ``lxml.html``, which form2request needs, whatever parser the page
    was read with.
    """
    make = lxml.html.html_parser.makeelement
    copy = make("form", _attributes(form))
    copy.getroottree().docinfo.URL = "http://localhost/"  # must be there; the action is absolute
    copies: dict[etree._Element, etree._Element] = {}
    named = _named(form)
    for control in form.getroottree().iter("{*}input", "{*}select", "{*}textarea", "{*}button"):
        if _owner(control, named) is not form or _is_left_out(control):
            continue
        tag = _local_name(control)
        copies[control] = made = make(tag, _attributes(control))
        if tag == "select":
            for option in control.iter("{*}option"):
                made.append(made.makeelement("option", _attributes(option)))
                made[-1].text = _settable("", "".join(option.itertext()))
        elif tag == "textarea":
            made.text = _settable("", "".join(control.itertext()))
        elif _submits(control):
            made.set("value", _settable("", control.get("value", "")))
        copy.append(made)
    return copy, copies


# lxml reads names and control characters that it refuses to have set.
_settable = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").sub
_is_settable_name = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII).fullmatch


def _attributes(element: etree._Element) -> dict[str, str]:
    return {
        str(name): _settable("", str(value))
        for name, value in element.attrib.items()
        if _is_settable_name(str(name))
    }


def _named(element: etree._Element) -> dict[str, etree._Element]:
    """The forms of the page by their ids; looking for each control's would take forms times it."""
    named: dict[str, etree._Element] = {}
    for form in element.getroottree().iter("{*}form"):
        named.setdefault(form.get("id", ""), form)
    return named


def _owner(element: etree._Element, named: dict[str, etree._Element]) -> etree._Element | None:
    """The form that an element belongs to: itself, as its ``form`` attribute says, or around it."""
    if _local_name(element) == "form":
        return element
    name = element.get("form")
    return named.get(name) if name else next(element.iterancestors("{*}form"), None)


def _local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace.

    etree.QName does not take all names that lxml's HTML parser gives: ``<i\x1f>`` is one.
    """
    name = str(element.tag)
    return name.rpartition("}")[2] if name.startswith("{") else name


def _submits(control: etree._Element) -> bool:
    kind = control.get("type", "submit" if _local_name(control) == "button" else "text")
    return kind.lower() in {"submit", "image"}


def _is_left_out(control: etree._Element) -> bool:
    """True for what is never sent: disabled controls, and buttons that do not submit."""
    if control.get("disabled") is not None:
        return True
    if control.get("type", "").lower() == "button":
        return True
    if _local_name(control) == "select" and "multiple" not in control.attrib:
        chosen = [one for one in control.iter("{*}option") if one.get("selected") is not None]
        if chosen and chosen[-1].get("disabled") is not None:  # "Please choose …"
            return True
    for fieldset in control.iterancestors("{*}fieldset"):
        if fieldset.get("disabled") is not None:
            legend = next(fieldset.iterchildren("{*}legend"), None)
            if legend is None or legend not in control.iterancestors("{*}legend"):
                return True
    return False


def _declared_enctype(form: etree._Element, button: etree._Element | bool) -> str:
    own = None if isinstance(button, bool) else button.get("formenctype")
    return own or form.get("enctype") or _URLENCODED
