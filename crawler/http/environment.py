"""Environment: what the user's surroundings say of proxies, credentials and certificates."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, get_netrc_auth

from crawler import settings, urls


class EnvironmentConfig(NamedTuple):
    """What the environment says for one host."""

    proxies: dict[str, str]
    auth: tuple[str, str] | None
    verify: str | bool


class Environment:
    """Proxies, ``netrc`` and certificate authorities, as ``requests`` reads them, once a host.

    It would look them up for each request, which takes longer than to prepare it. And there the
    environment wins over the session, for proxies and ``verify``; here the session does.
    """

    def __init__(self) -> None:
        self._found: dict[str, EnvironmentConfig] = {}

    def merge(
        self, session: requests.Session, url: str, proxies: Any = None, verify: Any = None
    ) -> tuple[dict[str, str], Any]:
        """Proxies and ``verify`` for ``url``: what was given, then the session's, then these."""
        chosen = {**session.proxies, **(proxies or {})}
        verify = session.verify if verify in (None, True) else verify
        if session.trust_env:
            found = self._of(url)
            if not chosen.keys() & _names(url):
                chosen = {**found.proxies, **chosen}
            verify = found.verify if verify is True else verify
        return chosen, verify

    def auth(self, session: requests.Session, url: str) -> Any:
        """The credentials for ``url`` that ``netrc`` has, where the session has none."""
        if session.auth or not session.trust_env:
            return None
        return self._of(url).auth or (None if "@" in url else _no_auth)

    def _of(self, url: str) -> EnvironmentConfig:
        origin = urls.origin(url)
        found = self._found.get(origin)
        if found is None:
            found = EnvironmentConfig(
                get_environ_proxies(url), get_netrc_auth(url), settings.ca_bundle()
            )
            self._found[origin] = found
        return found


def _names(url: str) -> set[str]:
    """The names under which ``requests`` looks for the proxy of ``url``."""
    parts = urlsplit(url)
    return {name for kind in (parts.scheme, "all") for name in (kind, f"{kind}://{parts.hostname}")}


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Credentials that are none; without them ``requests`` would ask ``netrc`` each time."""
    return request
