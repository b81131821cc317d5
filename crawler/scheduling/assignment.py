"""An assignment: what is on its way to a worker. Pure data."""

from __future__ import annotations

import msgspec

from crawler.scheduling.host_queue import HostQueue
from crawler.store import QueuedRequest


class Assignment(msgspec.Struct, eq=False):
    """One request on its way to a worker; without one, the host's robots.txt is asked for."""

    id: int
    host: HostQueue
    queued: QueuedRequest | None
    worker: int
    before: tuple[float, float] = (0.0, 0.0)
    """The host's clock as it was, should the request not be sent after all …"""
    ready_at: float = 0.0
    """… and how it was set; if it stands elsewhere by then, something else has moved it."""
    isolated: bool = False
    """The worker has nothing else: should it die, this request did it."""
