"""Hosts whose rules, names or certificates are hostile."""

from __future__ import annotations

import itertools
from typing import Any

from tests.hostile.web import BLOCK, Behaviour, Wire, links

WAITS = (
    "asks for it again, later and later, and for nothing else of this host; the run ends when it "
    "has waited for `robots_wait` (0 here) with nothing else to do, and says why: the host's "
    "requests stay pending, and the same command goes on"
)
ASKED = "takes it for no rules, and asks"


def shop(wire: Wire) -> bool:
    """The host itself is like any other."""
    return wire.page(links("/allowed", "/private/") if wire.path == "/" else "<p>page")


def endless_rules(wire: Wire) -> None:
    wire.head("Connection: close")
    wire.send(b"User-agent: *\nDisallow: /private/\n")
    wire.flood(itertools.repeat(b"Disallow: /" + BLOCK[:1000] + b"\n", 10 * 1024))


def one_line(wire: Wire) -> None:
    wire.head("Connection: close")
    wire.flood(itertools.chain([b"User-agent: *\nDisallow: /"], itertools.repeat(BLOCK, 160)))


def at_last(wire: Wire) -> bool:
    if wire.web.asked["robots at last", wire.path] <= 7:
        return wire.page("oops", status="500 Oops")
    return wire.page("User-agent: *\nDisallow: /private/\n", kind="text/plain")


def slow_rules(wire: Wire) -> None:
    wire.head("Content-Length: 100000")
    wire.drip(itertools.repeat(b"#"))


def moved(location: str) -> Any:
    return lambda wire: wire.redirect(location.replace("{vault}", str(wire.web.vault)))


def html(wire: Wire) -> bool:
    return wire.page("<html><body>Disallow nothing: <b>Disallow: /</b></body></html>")


RULES: list[Behaviour] = [
    Behaviour("robots of 10 MB", "a robots.txt of 10 MB",
              "reads 500 KiB, as RFC 9309 says, and keeps to that", shop, robots=endless_rules),
    Behaviour("robots of one line", "a robots.txt of 10 MB with two lines",
              "half a rule is none: it asks", shop, robots=one_line),
    Behaviour("robots that redirects", "a robots.txt that redirects to itself",
              "follows 5, as RFC 9309 says, then asks nothing of this host: its requests fail as "
              "`too many redirects`", shop, "too many redirects", robots=moved("/robots.txt")),
    Behaviour("robots within", "a robots.txt that redirects to a local address",
              "does not connect, and asks nothing of this host: its requests fail as "
              "`private address`", shop, "private address",
              robots=moved("http://127.0.0.1:{vault}/robots.txt")),
    Behaviour("robots with 500", "a robots.txt with 500, for ever", WAITS, shop, "http 500",
              robots=lambda wire: wire.page("oops", status="500 Oops"), waits=True),
    Behaviour("slow robots", "a robots.txt, one byte a second", "the same",
              shop, "timeout", robots=slow_rules, settings={"timeout": 1.0, "retries": 0},
              waits=True),
    Behaviour("robots at last", "a robots.txt with 500, seven times in a row",
              "asks for it again, later and later, then keeps to it: nothing fails", shop,
              robots=at_last, settings={"robots_wait": None}),
    Behaviour("robots in a file", "a robots.txt that redirects to `file:`",
              "asks nothing of this host: its requests fail as `bad redirect`", shop,
              "bad redirect", robots=moved("file:///etc/passwd")),
    Behaviour("robots as a page", "a robots.txt that is HTML", ASKED, shop, robots=html),
    Behaviour("robots with 429", "a robots.txt with 429", ASKED + ", as RFC 9309 says", shop,
              robots=lambda wire: wire.page("oops", status="429 Too Many")),
]  # fmt: skip

THERE = "fails it as {}; where nothing else answers either, it stays pending"
NOWHERE = "tries again, then " + THERE
LOCAL = "does not connect; fails it as `private address`"


def leading_to(name: str) -> Any:
    """A page of the seed's host with a link to a name."""
    return lambda wire: (
        wire.page(links(f"http://{name}:{wire.web.vault}/")) if wire.path == "/" else None
    )


NAMES: list[Behaviour] = [
    Behaviour("no such name", "a name that does not resolve",
              NOWHERE.format("`dns`"), shop, "dns", start="http://nowhere.test/",
              names={"nowhere.test": []}, waits=True),
    Behaviour("long name", "a name with a label of 100 characters", "fails it as `request`",
              shop, "request", start=f"http://{'x' * 100}.test/"),
    Behaviour("name within", "a link to a name that resolves to `127.0.0.1`", LOCAL,
              leading_to("inside.test"), names={"inside.test": ["127.0.0.1"]},
              settings={"allowed": "*"}),
    Behaviour("name of a seed", "a seed whose name resolves to `127.0.0.1`",
              "asks it: a seed is the user's word", shop, start="http://intranet.test:{port}/",
              names={"intranet.test": ["127.0.0.1"]}),
    Behaviour("name of metadata", "a seed whose name resolves to the metadata service of a cloud",
              LOCAL, shop, "private address", start="http://trick.test/",
              names={"trick.test": ["169.254.169.254"]}),
    Behaviour("two answers", "a name that resolves to a public address and to `127.0.0.1`",
              "tries the public one alone, again, then " + THERE.format("`connect timeout`"),
              shop, "connect timeout", start="http://both.test:{vault}/",
              names={"both.test": ["192.88.99.9", "127.0.0.1"]},
              settings={"connect_timeout": 0.3}, waits=True),
    Behaviour("many addresses", "a name with fifty addresses of which none answers",
              "tries them within `connect_timeout` together, again, then "
              + THERE.format("`connect timeout`"),
              shop, "connect timeout", start="http://many.test/",
              names={"many.test": [f"192.88.99.{n}" for n in range(50)]},
              settings={"connect_timeout": 0.3}, waits=True),
]  # fmt: skip

UNTRUSTED = "fails it as `tls`; not tried again"


def downgrade(wire: Wire) -> bool:
    """Sets a cookie, and leads to the same by plain http."""
    if not wire.secure:
        if "cookie" in wire.fields:
            wire.web.leaked.append(wire.fields["cookie"])
        return wire.page("<p>page")
    if wire.path == "/":
        return wire.page(links("/down"), "Set-Cookie: sid=secret")
    return wire.redirect(f"http://{wire.host}/plain")


CERTIFICATES: list[Behaviour] = [
    Behaviour("expired certificate", "a certificate that has expired", UNTRUSTED, shop, "tls",
              tls="expired"),
    Behaviour("wrong certificate", "a certificate for another name", UNTRUSTED, shop, "tls",
              tls="wrong"),
    Behaviour("unknown certificate", "a certificate of an authority that nobody knows", UNTRUSTED,
              shop, "tls", tls="unknown"),
    Behaviour("good certificate", "a certificate that is good", "asks", shop, tls="good"),
    Behaviour("no TLS", "plain http where TLS should be", UNTRUSTED, shop, "tls",
              start="https://127.0.0.1:{port}/"),
    Behaviour("downgrade", "a redirect from https to http",
              "follows it without cookies and credentials of https", downgrade, tls="good"),
]  # fmt: skip

ALL: list[Behaviour] = [*RULES, *NAMES, *CERTIFICATES]
