"""HTML forms → requests, as a browser would send them.

``find`` gives a ``Form``; ``Form.to_request`` collects the names and values of its enabled controls
and of the clicked button, and encodes them in the form's method and content type. Text is always
sent in UTF-8.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

from lxml import etree
from msgspec.structs import replace
from urllib3.filepost import encode_multipart_formdata

from crawler import urls
from crawler.errors import SpiderError
from crawler.parsing.links import css_path
from crawler.request import FormOrigin, Request

File: TypeAlias = tuple[str, bytes, str]
"""A file to upload: its name, its content, its content type."""
Data: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Values by field name: a text, several texts, a ``File``, or ``None`` to omit the field."""
Click: TypeAlias = bool | str | etree._Element | None
"""The button: ``None`` or ``True`` the first one, ``False`` none, an element, a CSS selector."""

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_PLAIN = "text/plain"


def find(root: etree._Element, css: str | None, base: str, *, page: str | None = None) -> Form:
    """Return the form that ``css`` matches or that contains a match; ``None``: the first form.

    The action is resolved against ``base``. A form without an action is sent to ``page``, the URL
    of the page if it is not ``base``. Raises SpiderError if there is no such form.
    """
    url = urls.redacted(page or base)
    matches: list[etree._Element] = list(
        root.iter("{*}form") if css is None else css_path(css)(root)
    )
    forms = _forms_by_id(root)
    for element in matches:
        form = _owner(element, forms)
        if form is not None:
            return Form(form, base, page=page)
    if css is None:
        raise SpiderError(f"there is no form on {url}")
    reason = "its matches are not in a form" if matches else "it matches nothing"
    raise SpiderError(f"no form for {css!r} on {url}: {reason}")


def filled_in_again(request: Request, root: etree._Element | None) -> Request | None:
    """Return ``request`` with the form's values as its page, at ``root``, has them now.

    Those that the spider has given stay. None if the form is no longer on the page.
    """
    origin = request.form
    forms = [] if root is None else list(root.iter("{*}form"))
    if origin is None or origin.position >= len(forms):
        return None
    headers = request.headers or {}
    content_type = headers.get("Content-Type") or _URLENCODED
    kind = content_type.partition(";")[0]
    controls = _controls(forms[origin.position])
    body, content_type = _encode(_pairs(controls, origin.given), [], kind, controls)
    return replace(request, data=body, headers={**headers, "Content-Type": content_type})


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
        return _own_pairs(_controls(self.element))

    @property
    def password_names(self) -> set[str]:
        """The names of the form's password fields."""
        inputs = [*self.element.iter("{*}input"), *_controls(self.element)]
        return {str(field.get("name")) for field in inputs if _type(field) == "password"}

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
        """Return the request that a browser sends when the form is filled in with ``data``.

        Names that the form does not have are sent too, as scripts do. ``method`` and ``enctype``
        override the form's own; ``options`` are further arguments of ``Request``. Raises
        SpiderError if the form cannot be sent.
        """
        controls = _controls(self.element)
        button = self._button(click, controls)
        try:
            url = self._action(button)
            texts, files = _split(data)
            given = _with_button(texts, button)
            method = self._method(button, method)
            pairs = _pairs(controls, given)
            headers: dict[str, str] = {}
            body = None
            if method == "POST":
                content_type = self._content_type(button, enctype, files)
                body, headers["Content-Type"] = _encode(pairs, files, content_type, controls)
            elif files:
                raise ValueError("a file can only be sent with method POST")
            else:
                url = urlsplit(url)._replace(query=urlencode(pairs)).geturl()
        except ValueError as error:
            raise SpiderError(f"{self} on {urls.redacted(self.page)}: {error}") from None
        headers.update(options.pop("headers", None) or {})
        url = urls.normalise(url) or url
        if method == "POST" and not files:
            options["form"] = FormOrigin(self.page, self._position, given)
        return Request(url, callback, method, headers or None, body, **options)

    @property
    def _position(self) -> int:
        return list(self.element.getroottree().iter("{*}form")).index(self.element)

    def _button(self, click: Click, controls: list[etree._Element]) -> etree._Element | None:
        """Return the button that is clicked. Raises SpiderError if it is not in the form."""
        if click is False:
            return None
        buttons = [control for control in controls if _submits(control)]
        if click is None:
            return next(iter(buttons), None)
        if click is True:
            candidates = buttons
        elif isinstance(click, str):
            candidates = css_path(click)(self.element.getroottree())
        else:
            candidates = [click]
        for element in candidates:
            if element in buttons:
                return element
        name = "" if click is True else f" {click!r}"
        raise SpiderError(f"{self} on {urls.redacted(self.page)} has no button{name} to click")

    def _own(self, button: etree._Element | None, name: str) -> str:
        """Return an attribute of the form, or the button's, which overrides it; else ``""``."""
        override = "" if button is None else _attribute(button, "form" + name)
        return override or _attribute(self.element, name)

    def _action(self, button: etree._Element | None) -> str:
        """Return the absolute URL to send to. Raises ValueError if there is none."""
        action = self._own(button, "action").strip()
        url = urls.resolve(self.base, action) if action else urls.normalise(self.page)
        if url is None:
            raise ValueError(f"its action {urls.redacted(action)!r} is not an http or https URL")
        return url

    def _method(self, button: etree._Element | None, wanted: str | None) -> str:
        """Return GET or POST. Raises ValueError for a method that is none of them."""
        if wanted:
            if wanted.upper() not in {"GET", "POST"}:
                raise ValueError(f"the method {wanted!r} is neither GET nor POST")
            return wanted.upper()
        method = self._own(button, "method").upper()
        if method == "DIALOG":
            raise ValueError("its method is 'dialog', which sends nothing")
        return "POST" if method == "POST" else "GET"

    def _content_type(
        self, button: etree._Element | None, wanted: str | None, files: list[tuple[str, File]]
    ) -> str:
        """Return the content type to send. Raises ValueError for an unknown ``wanted``."""
        content_type = (wanted or self._own(button, "enctype")).lower()
        if files or content_type == _MULTIPART:
            return _MULTIPART
        if content_type in {_URLENCODED, _PLAIN}:
            return content_type
        if wanted:
            raise ValueError(f"the enctype {wanted!r} is not one that forms are sent in")
        return _URLENCODED


# Names and values


def _with_button(
    texts: list[tuple[str, Any]], button: etree._Element | None
) -> list[tuple[str, Any]]:
    """Return the values that are filled in, and that of the button."""
    name = "" if button is None else _attribute(button, "name")
    return [*texts, (name, _attribute(button, "value"))] if name and button is not None else texts


def _pairs(controls: list[etree._Element], given: list[tuple[str, Any]]) -> list[tuple[Any, Any]]:
    """Return names and values in the order in which they are sent, texts or bytes.

    The form's own come first, then those ``given``, which replace those of the same names.
    """
    pairs: list[tuple[Any, Any]] = []
    pairs += _own_pairs(controls, replaced={name for name, _ in given})
    for name, value in given:
        values = value if isinstance(value, list) else [] if value is None else [value]
        pairs += [(name, text) for text in values]
    return pairs


def _own_pairs(
    controls: list[etree._Element], replaced: AbstractSet[str] = frozenset()
) -> list[tuple[str, str]]:
    """Return the names and values that the page has."""
    return [
        (name, value)
        for control in controls
        if (name := _attribute(control, "name")) and name not in replaced
        for value in _values(control)
    ]


def _split(data: Data | None) -> tuple[list[tuple[str, Any]], list[tuple[str, File]]]:
    """Separate texts from files."""
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
            texts.append((name, [str(text) for text in value]))
        else:
            texts.append((name, str(value)))
    return texts, files


def _values(control: etree._Element) -> list[str]:
    """Return the values that a control sends as the page has it."""
    tag = _local_name(control)
    if tag == "select":
        return _selected(control)
    if tag == "textarea":
        return [_text(control)]
    kind = _type(control)
    if tag == "button" or kind in {"submit", "image", "reset"}:
        return []
    if kind in {"checkbox", "radio"}:
        return [_attribute(control, "value") or "on"] if "checked" in control.attrib else []
    return [_attribute(control, "value")]


def _selected(select: etree._Element) -> list[str]:
    """Return the values of the chosen options; without a choice that of the first enabled one."""
    options = list(select.iter("{*}option"))
    chosen = [option for option in options if "selected" in option.attrib]
    if "multiple" not in select.attrib:
        enabled = (option for option in options if "disabled" not in option.attrib)
        chosen = chosen[-1:] or [option for option in [next(enabled, None)] if option is not None]
        if options and not chosen:
            return [""]
    return [
        _attribute(option, "value") if "value" in option.attrib else _text(option).strip()
        for option in chosen
    ]


# Bodies


def _encode(
    pairs: list[tuple[Any, Any]],
    files: list[tuple[str, File]],
    content_type: str,
    controls: list[etree._Element],
) -> tuple[bytes, str]:
    """Return the body and the value of its Content-Type header."""
    if content_type == _URLENCODED:
        return urlencode(pairs).encode(), content_type
    texts = [(_as_text(name), _as_text(value)) for name, value in pairs]
    if content_type == _MULTIPART:
        return _multipart(texts, files, controls)
    return "\n".join(f"{name}={value}" for name, value in texts).encode(), content_type


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _multipart(
    pairs: list[tuple[str, str]], files: list[tuple[str, File]], controls: list[etree._Element]
) -> tuple[bytes, str]:
    """Encode as ``multipart/form-data``.

    The boundary is a hash of the content: the same fields give the same bytes, and so the same
    fingerprint.
    """
    given = {name for name, _ in files}
    uploads = {_attribute(control, "name") for control in controls if _type(control) == "file"}
    parts: list[tuple[str, Any]] = [
        # A browser sends an empty file control as a file without name and content.
        (name, ("", b"", "application/octet-stream") if name in uploads and not value else value)
        for name, value in pairs
        if name not in given
    ]
    parts += files
    boundary = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    return encode_multipart_formdata(parts, boundary=boundary)


# Controls


def _controls(form: etree._Element) -> list[etree._Element]:
    """Return the enabled controls of a form, in the order of the page.

    Those elsewhere in the page whose ``form`` attribute names the form are among them.
    """
    forms = _forms_by_id(form)
    controls = form.getroottree().iter("{*}input", "{*}select", "{*}textarea", "{*}button")
    return [
        control
        for control in controls
        if _owner(control, forms) is form and not _is_never_sent(control)
    ]


def _forms_by_id(element: etree._Element) -> dict[str, etree._Element]:
    """Index the page's forms: a search for each control's would take controls times forms."""
    forms: dict[str, etree._Element] = {}
    for form in element.getroottree().iter("{*}form"):
        forms.setdefault(form.get("id", ""), form)
    return forms


def _owner(element: etree._Element, forms: dict[str, etree._Element]) -> etree._Element | None:
    """Return the form that an element is, that its ``form`` attribute names, or that it is in."""
    if _local_name(element) == "form":
        return element
    form_id = element.get("form")
    return forms.get(form_id) if form_id else next(element.iterancestors("{*}form"), None)


def _is_never_sent(control: etree._Element) -> bool:
    """Return True for disabled controls, and for buttons that do not submit."""
    if control.get("disabled") is not None or _type(control) == "button":
        return True
    if _local_name(control) == "select" and "multiple" not in control.attrib:
        chosen = [o for o in control.iter("{*}option") if o.get("selected") is not None]
        if chosen and chosen[-1].get("disabled") is not None:  # "Please choose …"
            return True
    for fieldset in control.iterancestors("{*}fieldset"):
        if fieldset.get("disabled") is not None:
            legend = next(fieldset.iterchildren("{*}legend"), None)
            if legend is None or legend not in control.iterancestors("{*}legend"):
                return True
    return False


def _submits(control: etree._Element) -> bool:
    """Return True for buttons that send the form; ``<button>`` without a type is one."""
    tag = _local_name(control)
    kind = _type(control) or ("submit" if tag == "button" and "type" not in control.attrib else "")
    return tag in {"input", "button"} and kind in {"submit", "image"}


def _type(control: etree._Element) -> str:
    return str(control.get("type", "")).lower()


def _local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace.

    etree.QName does not take all names that lxml's HTML parser gives: ``<i\x1f>`` is one.
    """
    name = str(element.tag)
    return name.rpartition("}")[2] if name.startswith("{") else name


def _attribute(element: etree._Element, name: str) -> str:
    return _without_controls("", element.get(name) or "")


def _text(element: etree._Element) -> str:
    return _without_controls("", "".join(element.itertext()))


# Characters that no XML has; in a page they are mistakes.
_without_controls = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").sub
