"""Environment: proxies, ``netrc`` credentials and certificate authorities of the user's system."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, get_netrc_auth

from crawler import settings, urls


class EnvironmentConfig(NamedTuple):
    """The environment's settings for a host."""

    proxies: dict[str, str]
    auth: tuple[str, str] | None
    verify: str | bool


class Environment:
    """Reads proxies, ``netrc`` and certificate authorities as ``requests`` does, once a host.

    requests reads them for each request, which takes longer than to prepare it. And it prefers the
    environment's proxies and ``verify`` to the session's; here the session's are preferred.
    """

    def __init__(self) -> None:
        self._configs: dict[str, EnvironmentConfig] = {}

    def merge(
        self, session: requests.Session, url: str, proxies: Any = None, verify: Any = None
    ) -> tuple[dict[str, str], Any]:
        """Return proxies and ``verify`` for ``url``: given, else the session's, else these."""
        chosen = {**session.proxies, **(proxies or {})}
        verify = session.verify if verify in (None, True) else verify
        if session.trust_env:
            config = self._config(url)
            if not chosen.keys() & _proxy_keys(url):
                chosen = {**config.proxies, **chosen}
            verify = config.verify if verify is True else verify
        return chosen, verify

    def auth(self, session: requests.Session, url: str) -> Any:
        """Return the credentials for ``url`` in ``netrc``, unless the session has its own."""
        if session.auth or not session.trust_env:
            return None
        return self._config(url).auth or (None if "@" in url else no_auth)

    def _config(self, url: str) -> EnvironmentConfig:
        origin = urls.origin(url)
        config = self._configs.get(origin)
        if config is None:
            proxies = get_environ_proxies(url) if settings.may_have_proxies() else {}
            config = EnvironmentConfig(proxies, get_netrc_auth(url), settings.ca_bundle())
            self._configs[origin] = config
        return config


def _proxy_keys(url: str) -> set[str]:
    """Return the keys under which ``requests`` looks for the proxy of ``url``."""
    parts = urlsplit(url)
    schemes = (parts.scheme, "all")
    return {key for scheme in schemes for key in (scheme, f"{scheme}://{parts.hostname}")}


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add no credentials. Without an auth, ``requests`` would read ``netrc`` each time."""
    return request
