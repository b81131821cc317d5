"""The adapter of sessions for requests: pools of connections that keep to the address policy."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import ProxyManager

from crawler import urls
from crawler.errors import FetchError
from crawler.http.address_policy import AddressPolicy
from crawler.http.connections import pools


class PoolAdapter(HTTPAdapter):
    """Keeps connections open for the next request; a deadline can cut them.

    New connections go where ``addresses`` allows it, by default anywhere.
    """

    def __init__(self, *args: Any, addresses: AddressPolicy | None = None, **kwargs: Any) -> None:
        self.addresses = addresses or AddressPolicy(anywhere=True)
        super().__init__(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._verified: WeakSet[Any] = WeakSet()
        self.poolmanager.pool_classes_by_scheme = pools(self.addresses)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if type(manager) is ProxyManager:  # SOCKS has connections of its own
            manager.pool_classes_by_scheme = pools(self.addresses)
        return manager

    def send(
        self,
        request: Any,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send as requests does. Raises FetchError for a request to a local address by a proxy."""
        if proxies and select_proxy(request.url, proxies):
            self.addresses.check(request.url)
        return super().send(request, stream, timeout, verify, cert, proxies)

    def pool(
        self, url: str, *, host: dict[str, Any], of_tls: dict[str, Any], verify: Any, cert: Any
    ) -> Any:
        """Return the pool that ``send`` uses for ``url``; ``host`` and ``of_tls`` are its key."""
        pool: Any = self.poolmanager.connection_from_host(**host, pool_kwargs=of_tls)
        if pool not in self._verified:
            self.cert_verify(pool, url, verify, cert)
            self._verified.add(pool)
        return pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Raise FetchError if a file that ``verify`` or ``cert`` names is missing.

        requests raises an OSError, as for a connection that fails, which would be tried again.
        """
        try:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise FetchError("certificate", f"{urls.redacted(url)}: {error}") from None

    def close(self) -> None:
        """Close the connections now; urllib3 would leave that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 (no dict: it cannot be iterated)
                manager.pools[key].close()
        super().close()
