"""Calls that a callback makes of ``response.session``, which lives in the fetching process."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks

from crawler.errors import CrawlerError
from crawler.http.deadline import FetchContext, on_thread
from crawler.records import Cookie
from crawler.session.session import FormRequest, Session
from crawler.values.plain import message_of
from crawler.worker.remote_session import SETTINGS, PlainPage, SessionSnapshot, dumped


def answer_call(session: Session, call: bytes) -> tuple[bytes, float]:
    """Make a pickled call; return its pickled result, and when its last request was sent.

    The result is a pair: True and the value, or False and the exception with its cause. The time
    is of the monotonic clock, 0 if nothing was sent.
    """
    context = FetchContext()
    try:
        name, args, kwargs, secrets = pickle.loads(call)
        for text in secrets:
            session.mask.add(text)
        with on_thread(context):
            value = True, _CALLS[name](session, *args, **kwargs)
        return dumped(value), context.sent_at
    except BaseException as error:  # of a hook or an adapter
        return _dumped_error(error), context.sent_at


def _dumped_error(error: BaseException) -> bytes:
    try:
        if isinstance(error, requests.RequestException):
            request: Any = error.request
            error.request = request and _plain_request(request)
            error.response = None if error.response is None else _plain(error.response)
        cause = error.__cause__ if isinstance(error.__cause__, CrawlerError) else None
        pickled = dumped((False, (error, cause)))
        pickle.loads(pickled)  # some exceptions fail here only
    except Exception:  # of the user's, in a hook or an adapter
        return pickle.dumps(
            (False, (RuntimeError(f"{type(error).__name__}: {message_of(error)}"), None))
        )
    return pickled


def _snapshot(session: Session) -> SessionSnapshot:
    settings = {}
    for name in SETTINGS:
        value = getattr(session, name, None)  # no session has a timeout by itself
        try:
            dumped(value)
        except Exception:  # an auth with a lock, for instance: a callback sees none
            value = None
        settings[name] = value
    return SessionSnapshot(
        session.cookies.records(), dict(session.headers), session.state, settings
    )


def _apply(
    session: Session,
    cookies: list[Cookie],
    headers: Mapping[str, Any] | None,
    state: dict[str, Any] | None,
    settings: Mapping[str, Any],
) -> None:
    """Take over what a callback has changed."""
    session.cookies.apply(cookies)
    if headers is not None:
        session.headers.clear()
        session.headers.update(headers)
    if state is not None:
        session.state = state
    for name, value in settings.items():
        setattr(session, name, value)
    session.hide_credentials()


def _request(session: Session, method: str, url: str, **kwargs: Any) -> requests.Response:
    return _plain(session.request(method, url, **kwargs))


def _send(session: Session, prepared: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
    if prepared._cookies is None:  # type: ignore[attr-defined]
        prepared._cookies = RequestsCookieJar()  # type: ignore[attr-defined] # for redirects
    return _plain(session.send(prepared, **kwargs))


def _prepare(session: Session, request: requests.Request) -> requests.PreparedRequest:
    return _plain_request(session.prepare_request(request))


def _open(session: Session, url: str, **kwargs: Any) -> PlainPage:
    return PlainPage.of(session.open(url, **kwargs))


def _submit(session: Session, form: FormRequest) -> PlainPage:
    return PlainPage.of(session.send_form(form))


_CALLS: dict[str, Callable[..., Any]] = {
    "snapshot": _snapshot,
    "apply": _apply,
    "request": _request,
    "send": _send,
    "prepare_request": _prepare,
    "open": _open,
    "submit": _submit,
}


def _plain(response: requests.Response) -> requests.Response:
    """Return ``response`` with its body, without what belongs to this process."""
    for each in (*response.history, response):
        _ = each.content
        each.request = _plain_request(each.request)
        jar = RequestsCookieJar()
        jar.update(each.cookies)
        each.cookies = jar
    return response


def _plain_request(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    prepared.hooks = default_hooks()
    prepared._cookies = None  # type: ignore[attr-defined]
    return prepared
