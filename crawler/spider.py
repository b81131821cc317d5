"""The base class of all spiders: where to start, how to log in, how to parse."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from crawler.errors import SpiderError
from crawler.parsing.login_marks import LoggedOutText
from crawler.parsing.response import Response
from crawler.request import Request
from crawler.session.evidence import Weight
from crawler.session.session import Session

RetryRule = stop_base | wait_base | retry_base
"""A rule of tenacity's."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed, and why, as ``Spider.failed`` receives it.

    ``cause`` is the short text under which the failure is counted (``http 404``, ``timeout``,
    ``disallowed by robots.txt``); ``message`` explains it in a sentence; ``response`` is that of
    an error status, else None.
    """

    request: Request
    cause: str
    message: str
    response: Response | None = None


class Spider:
    """Extend it, name ``start_urls`` and write ``parse``.

    Settings are class attributes of the same names (``delay = 0.5``). Arguments given with
    ``-a NAME=VALUE`` reach the constructor as keywords; by default they become attributes.

    Each worker process makes one instance. Callbacks of one instance never run at the same time;
    instances share nothing, so lasting data belongs in items and requests.
    """

    name: ClassVar[str] = ""
    """The name of the job and its folder; by default the class's name in lower case."""
    start_urls: Sequence[str] = ()
    """URLs to start from, unless seeds are given."""
    allowed_domains: Sequence[str] = ()
    """Domains to stay on, subdomains included; by default the seeds' own hosts. ``"*"``: all."""
    accounts: Sequence[Any] = ()
    """The accounts that log in; by default one whose credentials ``login`` finds by itself."""
    shares_requests: ClassVar[bool] = False
    """Requests of an account that is no longer given go to the other accounts."""
    item_type: ClassVar[Any] = None
    """The type of all items; an item that does not fit goes to ``rejected.jsonl``."""
    logout_urls: Sequence[str | re.Pattern[str]] = ()
    """Further links that log out: text that occurs in the URL, or ``re.compile(…)``."""
    safe_urls: Sequence[str | re.Pattern[str]] = ()
    """Links to follow although they look as if they logged out or changed something."""
    probe_url: str = ""
    """A page that shows whether a session is logged in: the account and anonymous visitors get it
    differently. By default the first page of the crawl is tried."""
    member_mark: str = ""
    """A CSS selector of what every HTML page has for the account only: ``"a.logout"``."""
    logged_out_text: LoggedOutText | Sequence[LoggedOutText] = ()
    """The mark of a page for anonymous visitors: text that occurs in it, ``re.compile(…)``, or a
    function that gets the response."""
    retry: RetryRule | Sequence[RetryRule] = ()
    """The rules for retries, in those of tenacity: ``stop_after_attempt(5)``, or a tuple of a
    ``stop_…``, a ``wait_…`` and a ``retry_…``. The settings count for those it omits."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()

    def __init__(self, **arguments: Any) -> None:
        for name, value in arguments.items():
            setattr(self, name, value)

    def start(self) -> Iterable[Request | str]:
        """Yield the first requests; by default one for each of ``start_urls``."""
        return list(self.start_urls)

    def parse(self, response: Response, *args: Any, **kwargs: Any) -> Any:
        """Yield items and requests, or return one or a list of them."""
        raise NotImplementedError(f"{type(self).__name__} has no method parse(self, response)")

    def prepare(self, session: Session) -> None:
        """Set up each new session: headers, auth, proxies, certificates, adapters, hooks.

        Called once for a session in each worker, before the first request, and again after a
        restart. It sends nothing; ``login`` does.
        """

    def login(self, session: Session, *args: Any) -> None:
        """Log in through ``session``, a ``requests.Session``. Not called unless overridden.

        Write it as ``login(self, session, account)`` to receive the account.

        It runs before the session's first request, and again when the site has ended the session.
        Cookies, headers set here and ``session.state`` survive a restart.
        """
        raise NotImplementedError

    def is_logged_out(self, response: Response) -> bool:
        """Return True if ``response`` shows that the site has ended the session.

        By default: it is a form of the login or leads to one, has the status 401, 403 or 419,
        or lacks what the site shows to the account only. Then the probe page is looked at, which
        decides.
        """
        session = response.session
        if not isinstance(session, Session):
            return False
        return session.progress.evidence.weigh(response).weight is Weight.DOUBTFUL

    def failed(self, failure: Failure) -> Any:
        """Handle a request that failed for good; may yield items and requests."""
        return None

    def closed(self, stats: dict[str, Any]) -> None:
        """Handle the end of a run, with the job's counters; called once."""

    @classmethod
    def logs_in(cls) -> bool:
        """Return True if the spider has a ``login`` of its own."""
        return cls.login is not Spider.login


def has_own_logout_check(spider: Spider) -> bool:
    """Return True if the spider overrides ``is_logged_out``."""
    return type(spider).is_logged_out is not Spider.is_logged_out


def callback_signature(spider: Spider, name: str) -> inspect.Signature:
    """Return the signature of a callback. Raises SpiderError if the spider has no such method."""
    method: Any = getattr(spider, name, None)
    if not callable(method) or name.startswith("__"):
        raise SpiderError(
            f"callback {name!r} is not a method of {type(spider).__name__}; "
            "a request names a method of its spider, or the method's name, and hands it values by "
            "cb_kwargs"
        )
    return inspect.signature(method)


def check_arguments(signature: inspect.Signature, name: str, cb_kwargs: dict[str, Any]) -> None:
    """Raise SpiderError if the callback does not take a response and ``cb_kwargs``."""
    try:
        signature.bind(None, **cb_kwargs)
    except TypeError as error:
        arguments = ", ".join(cb_kwargs) or "a response alone"
        raise SpiderError(f"callback {name}() cannot be called with {arguments}: {error}") from None
