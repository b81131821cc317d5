"""Addresses: which are public, and where a connection may lead whatever a name server says."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import FetchError
from crawler.http.adapter import CurlAdapter
from crawler.http.address_policy import AddressPolicy, is_public
from tests.sites import Site

LOCAL = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "192.0.0.1",
    "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200",
    "::1", "::", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "2001:db8::1", "100::1", "3fff::1", "3fff:fff:ffff::1", "5f00::1", "2001:2::1", "2001:10::1",
    "192.0.0.100", "192.88.99.1", "2002:c058:6301::1", "64:ff9b::c000:64",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1",
    "192.167.1.1", "169.253.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1",
    "192.0.0.9", "192.0.0.10", "192.0.1.1", "192.88.98.1", "2620:4f:8000::1",
    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]  # fmt: skip


@pytest.mark.parametrize("address", LOCAL)
def test_local_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_others_are(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_the_same_within_an_ipv6_one(address: Any) -> None:
    number = int(address)
    plain = is_public(str(address))
    assert is_public(f"::ffff:{address}") == plain
    assert is_public(f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}") == plain


def found(*addresses: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in addresses]


def chosen(addresses: AddressPolicy, host: str, *known: str, port: int = 80) -> list[str]:
    return [one[4][0] for one in addresses.choose(host, port, found(*known))]


def refused(addresses: AddressPolicy, host: str, *known: str, port: int = 80) -> str:
    with pytest.raises(FetchError) as caught:
        addresses.choose(host, port, found(*known))
    assert (caught.value.cause, caught.value.retryable) == ("private address", False)
    return str(caught.value)


def test_a_name_needs_a_seed_to_be_local() -> None:
    addresses = AddressPolicy()
    assert "intranet.corp is at 10.0.0.1, a local address" in refused(
        addresses, "intranet.corp", "10.0.0.1"
    )
    addresses.permit("http://intranet.corp/")
    assert chosen(addresses, "intranet.corp", "10.0.0.1") == ["10.0.0.1"]
    assert chosen(addresses, "intranet.corp", "10.0.0.1", port=443) == ["10.0.0.1"]
    refused(addresses, "intranet.corp", "10.0.0.1", port=8080)
    refused(addresses, "other.corp", "10.0.0.1")


def test_a_port_is_part_of_the_permission() -> None:
    addresses = AddressPolicy()
    addresses.permit("http://127.0.0.1:8000/")
    assert chosen(addresses, "127.0.0.1", "127.0.0.1", port=8000)
    refused(addresses, "127.0.0.1", "127.0.0.1", port=6379)
    addresses.permit("http://[::1]:8000/")
    assert chosen(addresses, "::1", "::1", port=8000)


def test_a_permission_ends_with_the_last_seed_that_gave_it() -> None:
    addresses = AddressPolicy()
    for _ in range(2):
        addresses.permit("http://intranet.corp")
    addresses.forbid("http://intranet.corp")
    assert chosen(addresses, "intranet.corp", "10.0.0.1")
    addresses.forbid("http://intranet.corp")
    refused(addresses, "intranet.corp", "10.0.0.1")


def test_a_public_name_does_not_become_local() -> None:
    """Rebinding: the first answer is public, the next is not."""
    addresses = AddressPolicy()
    addresses.permit("http://shop.example/")
    assert chosen(addresses, "shop.example", "8.8.8.8") == ["8.8.8.8"]
    refused(addresses, "shop.example", "127.0.0.1")


def test_of_public_and_local_answers_only_the_public_count() -> None:
    addresses = AddressPolicy()
    addresses.permit("http://shop.example/")
    assert chosen(addresses, "shop.example", "127.0.0.1", "8.8.8.8") == ["8.8.8.8"]


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fd00:ec2::254"])
def test_no_name_leads_where_no_site_lives(address: str) -> None:
    addresses = AddressPolicy()
    addresses.permit("http://shop.example/")
    refused(addresses, "shop.example", address)
    addresses.permit(f"http://{f'[{address}]' if ':' in address else address}/")
    assert chosen(addresses, address, address)


def test_anywhere_is_anywhere() -> None:
    assert chosen(AddressPolicy(anywhere=True), "x", "127.0.0.1") == ["127.0.0.1"]


def test_numeric_addresses_are_checked_before_a_proxy_is_asked() -> None:
    with requests.Session() as session:
        session.mount("http://", CurlAdapter(addresses=AddressPolicy()))
        session.proxies = {"http": "http://127.0.0.1:9"}
        with pytest.raises(FetchError, match="is a local address"):
            session.get("http://192.168.0.1/", timeout=1)
        with pytest.raises(requests.ConnectionError):  # asked: nobody is at this proxy
            session.get("http://shop.example/", timeout=1)


def test_a_proxy_may_be_local(site: Site) -> None:
    site.otherwise = lambda visit: "by proxy"
    with requests.Session() as session:
        session.mount("http://", CurlAdapter(addresses=AddressPolicy()))
        session.proxies = {"http": site.url}
        assert session.get("http://shop.example/", timeout=5).text == "by proxy"


def test_a_connection_that_is_kept_is_not_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.otherwise = lambda visit: "x"
    asked: list[str] = []
    choose = AddressPolicy.choose

    def counting(self: AddressPolicy, host: str, port: int, found: list[Any]) -> list[Any]:
        asked.append(host)
        return choose(self, host, port, found)

    monkeypatch.setattr(AddressPolicy, "choose", counting)
    addresses = AddressPolicy()
    addresses.permit(f"{site.url}/")
    with requests.Session() as session:
        session.mount("http://", CurlAdapter(addresses=addresses))
        for _ in range(5):
            session.get(f"{site.url}/", timeout=5)
    assert asked == ["127.0.0.1"]
