"""SSRF protection: decides to which addresses a connection may go.

A link, a redirect or a name server can name ``127.0.0.1``, and then the crawler would send requests
that only this machine, or only the network around it, should get. So each new connection checks the
address that it really goes to. A local one is allowed only if the user has named it by a seed.
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
# Of IANA's registries, what ``is_global`` of some versions of Python does not know: documentation
# (RFC 9637), protocol assignments (RFC 6890) with two exceptions, and relays of 6to4 (RFC 7526).
_SPECIAL = tuple(map(ip_network, ("3fff::/20", "192.0.0.0/24", "192.88.99.0/24")))
_ANYCAST = frozenset(map(ip_address, ("192.0.0.9", "192.0.0.10")))
# Services at which clouds give a machine its secrets. Some of these addresses are in ranges that
# are otherwise public, or that a private network may use.
_METADATA = frozenset(
    map(
        ip_address,
        ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
    )
)


def is_public(text: str) -> bool:
    """Return True for an address of the public internet, by IANA's registries of special ones.

    Return False for loopback, private use, link-local, shared (CGNAT), multicast, reserved,
    documentation and unspecified addresses, also if an IPv6 address contains an IPv4 one, and for
    the metadata services of clouds. ``text`` is numeric, in the form of ``getaddrinfo``.
    """
    address = _parsed(text)
    return _is_public_4(address) if isinstance(address, IPv4Address) else _is_public_6(address)


def _parsed(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_public_4(address: IPv4Address) -> bool:
    if address in _METADATA or any(address in network for network in _SPECIAL):
        return address in _ANYCAST
    return address.is_global and not address.is_multicast


def _is_public_6(address: IPv6Address) -> bool:
    if address in _NAT64[0]:
        return _is_public_4(IPv4Address(int(address) & 0xFFFFFFFF))
    if any(address in network for network in _SPECIAL):
        return False
    if address.sixtofour is not None and not _is_public_4(address.sixtofour):
        return False
    return address in _UNICAST[0] and address.is_global and address.teredo is None


def _needs_its_number(text: str) -> bool:
    """Return True for addresses that no real site has (link-local, multicast, cloud metadata).

    They are allowed only when a seed spells the number itself.
    """
    address = _parsed(text)
    is_special = address.is_link_local or address.is_multicast or address.is_unspecified
    return is_special or address in _METADATA


class AddressPolicy:
    """The permissions of one worker. ``anywhere`` allows everything."""

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere
        self._permitted: Counter[str] = Counter()
        self._known_public: set[str] = set()

    def permit(self, url: str) -> None:
        """Allow a local address to the host of ``url`` (http and https alike, on this port)."""
        self._permitted[_host_and_port(urls.netloc(url))] += 1

    def forbid(self, url: str) -> None:
        """Withdraw a permission; a host that was permitted several times stays permitted."""
        netloc = _host_and_port(urls.netloc(url))
        self._permitted[netloc] -= 1
        if not self._permitted[netloc]:
            del self._permitted[netloc]
            self._known_public.discard(netloc)

    def choose(self, host: str, port: int, addresses: list[Any]) -> list[Any]:
        """Return those of ``addresses``, in the form of ``getaddrinfo``, that are allowed.

        A name that has a public address is public from then on: its local addresses are refused,
        so that a name server cannot lead the crawler inside later. Raises FetchError if no address
        is allowed.
        """
        if self._anywhere:
            return addresses
        netloc = _host_and_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        public = [address for address in addresses if is_public(address[4][0])]
        permitted = netloc in self._permitted
        if public:
            if permitted:
                self._known_public.add(netloc)
            return public
        if permitted and netloc not in self._known_public:
            local = [
                address
                for address in addresses
                if address[4][0] == host or not _needs_its_number(address[4][0])
            ]
            if local:
                return local
        raise _refusal(host, addresses)

    def check(self, url: str) -> None:
        """Check the host of ``url`` before a proxy looks it up: here only a numeric one shows."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            ip_address(host)
        except ValueError:
            return
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.choose(host, port, [(None, None, None, "", (host, port))])


def _host_and_port(netloc: str) -> str:
    """Return host and port in one form; the default ports of http and https are the same."""
    for port in (":80", ":443"):
        if netloc.endswith(port):
            netloc = netloc[: -len(port)]
            break
    name, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        name, colon, port = netloc, "", ""
    return f"{name.rstrip('.')}{colon}{port}"


def _refusal(host: str, addresses: list[Any]) -> FetchError:
    listing = ", ".join(dict.fromkeys(address[4][0] for address in addresses))
    location = "a local address" if listing == host else f"at {listing}, a local address"
    return FetchError(
        "private address",
        f"{host} is {location}, and no seed is there: make it a seed, or set allow_private",
    )
