"""Addresses: where a connection may lead. The page that names a host does not decide that.

A link, a redirect or a name server can say ``127.0.0.1``, and then the crawler would ask what only
this machine, or only the network around it, should be asked. So each new connection looks at the
address that it really goes to, and a local one needs the user's word: a seed at that host.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from crawler import urls
from crawler.errors import FetchError

_UNICAST = (ip_network("2000::/3"),)
_NAT64 = (ip_network("64:ff9b::/96"),)
# Where clouds tell a machine its secrets. Some of these are within what is otherwise public, or
# what a network of one's own may use.
_METADATA = frozenset(
    map(
        ip_address,
        ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
    )
)


def is_public(text: str) -> bool:
    """True for an address of the public internet, as IANA's registries of special ones have it.

    False for loopback, private use, link-local, shared (CGNAT), multicast, reserved, documentation
    and unspecified addresses, also where an IPv6 address carries an IPv4 one, and for the metadata
    services of clouds. ``text`` is numeric, as ``getaddrinfo`` gives it.
    """
    address = _parsed(text)
    return _is_public_4(address) if isinstance(address, IPv4Address) else _is_public_6(address)


def _parsed(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_public_4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _METADATA


def _is_public_6(address: IPv6Address) -> bool:
    if address in _NAT64[0]:
        return _is_public_4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None and not _is_public_4(address.sixtofour):
        return False
    return address in _UNICAST[0] and address.is_global and address.teredo is None


def _needs_its_number(text: str) -> bool:
    """True for addresses that no real site has (link-local, multicast, cloud metadata).

    They are allowed only when a seed spells the number itself.
    """
    address = _parsed(text)
    of_a_kind = address.is_link_local or address.is_multicast or address.is_unspecified
    return of_a_kind or address in _METADATA


class AddressPolicy:
    """Decides for one worker. ``anywhere`` allows everything."""

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere
        self._permitted: Counter[str] = Counter()
        self._known_public: set[str] = set()

    def permit(self, url: str) -> None:
        """The host of ``url`` (http and https alike, on this port) may be at a local address."""
        self._permitted[_place(urls.netloc(url))] += 1

    def forbid(self, url: str) -> None:
        """Take a permission back; where several were given, the others stay."""
        place = _place(urls.netloc(url))
        self._permitted[place] -= 1
        if not self._permitted[place]:
            del self._permitted[place]
            self._known_public.discard(place)

    def choose(self, host: str, port: int, found: list[Any]) -> list[Any]:
        """Those of ``found``, as ``getaddrinfo`` gives it, that a connection may go to.

        A name that has a public address is public, now and later: its local ones are not used, so
        that a name server cannot lead the crawler inside by changing its mind. Raises FetchError
        where none is left.
        """
        if self._anywhere:
            return found
        place = _place(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        public = [one for one in found if is_public(one[4][0])]
        permitted = place in self._permitted
        if public:
            if permitted:
                self._known_public.add(place)
            return public
        if permitted and place not in self._known_public:
            named = [one for one in found if one[4][0] == host or not _needs_its_number(one[4][0])]
            if named:
                return named
        raise _refusal(host, found)

    def check(self, url: str) -> None:
        """As ``choose``, for what a proxy will look up: only a numeric host can be told here."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            ip_address(host)
        except ValueError:
            return
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.choose(host, port, [(None, None, None, "", (host, port))])


def _place(netloc: str) -> str:
    """Name and port; the default ports of http and https count as one."""
    for port in (":80", ":443"):
        if netloc.endswith(port):
            netloc = netloc[: -len(port)]
            break
    name, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        name, colon, port = netloc, "", ""
    return f"{name.rstrip('.')}{colon}{port}"


def _refusal(host: str, found: list[Any]) -> FetchError:
    at = ", ".join(dict.fromkeys(one[4][0] for one in found))
    where = "a local address" if at == host else f"at {at}, a local address"
    return FetchError(
        "private address",
        f"{host} is {where}, and no seed is there: make it a seed, or set allow_private",
    )
