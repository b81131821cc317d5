"""Pools: connections that stay open for the next request."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter

from crawler.deadline import TrackedHTTPConnectionPool, TrackedHTTPSConnectionPool


class PoolAdapter(HTTPAdapter):
    """Connections that stay open for the next request and that a deadline can cut."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close the connections now; urllib3 would leave that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 (it is no dict, and cannot be iterated)
                manager.pools[key].close()
        super().close()


_POOLS = {"http": TrackedHTTPConnectionPool, "https": TrackedHTTPSConnectionPool}
