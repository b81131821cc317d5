"""The counts that a site behind a login keeps, by which a crawl is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Counts:
    """Requests and logins as the site has counted them."""

    requests: int = 0
    begun: int = 0
    """Logins that were tried: forms sent with a name and a password."""
    done: int = 0
    """Logins that succeeded."""
    wrong: int = 0
    """Logins with a wrong name or password."""
    ended: int = 0
    """Times that the site ended the sessions of its member."""
    logged_out: int = 0
    """Requests for the address that logs out."""
    members: int = 0
    """Requests of members for members' pages."""
    strangers: int = 0
    """Requests of strangers for members' pages."""
    closed: int = 0
    """Requests of members for pages that are closed to them."""
    renewed: int = 0
    """Sessions that the second cookie renewed."""
    flows: int = 0
    """Single sign-ons that were begun at the provider."""
    kills: int = 0
    """Times that the crawl was killed."""
    overrun: bool = False
    """There were more requests than any crawl of this site can need."""


def summary_of(counts: Counts) -> dict[str, Any]:
    """Return the counts that are not zero."""
    return {name: value for name, value in vars(counts).items() if value}
