"""Hosts with a hostile robots.txt, name or certificate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tests.hostile.web import BLOCK, Behaviour, Wire, links

WAITS = (
    "retries it with growing waits, and requests nothing else from this host; the run ends after "
    "`robots_wait` (0 here) with nothing else to do, and says why: the requests of the host stay "
    "pending, and the same command continues"
)
TIME_TO_CLOSE = 3.0
"""Seconds that a client has for it; one that reads on waits longer for the next bytes."""
NO_RULES = "treats it as no rules, and requests the pages"


def shop(wire: Wire) -> bool:
    """Send an ordinary page."""
    return wire.page(links("/allowed", "/private/") if wire.path == "/" else "<p>page")


def endless_rules(wire: Wire) -> None:
    wire.head("Connection: close")
    wire.send(b"User-agent: *\nDisallow: /private/\n")
    rules = itertools.repeat(b"Disallow: /" + BLOCK[:1000] + b"\n", 64)
    flood_while_open(wire, itertools.repeat(b"".join(rules), 160))


def one_line(wire: Wire) -> None:
    wire.head("Connection: close")
    wire.send(b"User-agent: *\nDisallow: /")
    flood_while_open(wire, itertools.repeat(BLOCK, 160))


def flood_while_open(wire: Wire, blocks: Iterator[bytes]) -> None:
    """Send blocks of 64 KB, and go on after 2 MB only if the client has not closed by then.

    The buffers of both ends would take nearly all of them from a client that reads no more.
    """
    wire.flood(itertools.islice(blocks, 32))
    if not wire.is_closed_within(TIME_TO_CLOSE):
        wire.flood(blocks)


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
              "reads and obeys the first 500 KiB, as RFC 9309 says", shop, robots=endless_rules),
    Behaviour("robots of one line", "a robots.txt of 10 MB with two lines",
              "ignores the truncated rule, and requests the pages", shop, robots=one_line),
    Behaviour("robots that redirects", "a robots.txt that redirects to itself",
              "follows 5, as RFC 9309 says, then requests nothing from this host: its pages fail "
              "as `too many redirects`", shop, "too many redirects", robots=moved("/robots.txt")),
    Behaviour("robots within", "a robots.txt that redirects to a local address",
              "does not connect, and requests nothing from this host: its pages fail as "
              "`private address`", shop, "private address",
              robots=moved("http://127.0.0.1:{vault}/robots.txt")),
    Behaviour("robots with 500", "a robots.txt that always answers 500", WAITS, shop, "http 500",
              robots=lambda wire: wire.page("oops", status="500 Oops"), waits=True),
    Behaviour("slow robots", "a robots.txt at one byte per second", "the same",
              shop, "timeout", robots=slow_rules, settings={"timeout": 1.0, "retries": 0},
              waits=True),
    Behaviour("robots at last", "a robots.txt that answers 500 seven times",
              "retries it with growing waits, then obeys it: nothing fails", shop,
              robots=at_last, settings={"robots_wait": None}),
    Behaviour("robots in a file", "a robots.txt that redirects to `file:`",
              "requests nothing from this host: its pages fail as `bad redirect`", shop,
              "bad redirect", robots=moved("file:///etc/passwd")),
    Behaviour("robots as a page", "a robots.txt that is HTML", NO_RULES, shop, robots=html),
    Behaviour("robots with 429", "a robots.txt with 429", NO_RULES + ", as RFC 9309 says", shop,
              robots=lambda wire: wire.page("oops", status="429 Too Many")),
]  # fmt: skip

FAILS = "fails as {}; stays pending if no host answers at all"
NO_ANSWER = "retries, then " + FAILS
LOCAL = "does not connect; fails as `private address`"


def leading_to(name: str) -> Any:
    """Return a server of pages on the seed's host that link to ``name``."""
    return lambda wire: (
        wire.page(links(f"http://{name}:{wire.web.vault}/")) if wire.path == "/" else None
    )


NAMES: list[Behaviour] = [
    Behaviour("no such name", "a name that does not resolve",
              NO_ANSWER.format("`dns`"), shop, "dns", start="http://nowhere.test/",
              names={"nowhere.test": []}, waits=True),
    Behaviour("long name", "a name with a label of 100 characters", "fails as `request`",
              shop, "request", start=f"http://{'x' * 100}.test/"),
    Behaviour("name within", "a link to a name that resolves to `127.0.0.1`", LOCAL,
              leading_to("inside.test"), names={"inside.test": ["127.0.0.1"]},
              settings={"allowed": "*"}),
    Behaviour("name of a seed", "a seed whose name resolves to `127.0.0.1`",
              "requests it, since the user trusts seeds", shop, start="http://intranet.test:{port}/",
              names={"intranet.test": ["127.0.0.1"]}),
    Behaviour("name of metadata", "a seed whose name resolves to the metadata service of a cloud",
              LOCAL, shop, "private address", start="http://trick.test/",
              names={"trick.test": ["169.254.169.254"]}),
    Behaviour("two answers", "a name that resolves to a public address and to `127.0.0.1`",
              "tries only the public one, retries, then " + FAILS.format("`connect timeout`"),
              shop, "connect timeout", start="http://both.test:{vault}/",
              names={"both.test": ["192.52.193.9", "127.0.0.1"]},
              settings={"connect_timeout": 0.3}, waits=True),
    Behaviour("many addresses", "a name with fifty addresses, none of which answers",
              "tries them all within `connect_timeout`, retries, then "
              + FAILS.format("`connect timeout`"),
              shop, "connect timeout", start="http://many.test/",
              names={"many.test": [f"192.52.193.{n}" for n in range(50)]},
              settings={"connect_timeout": 0.3}, waits=True),
]  # fmt: skip

UNTRUSTED = "fails as `tls`, without a retry"


def downgrade(wire: Wire) -> bool:
    """Set a cookie by https, and redirect to plain http."""
    if not wire.secure:
        if "cookie" in wire.fields:
            wire.web.leaked.append(wire.fields["cookie"])
        return wire.page("<p>page")
    if wire.path == "/":
        return wire.page(links("/down"), "Set-Cookie: sid=secret")
    return wire.redirect(f"http://{wire.host}/plain")


CERTIFICATES: list[Behaviour] = [
    Behaviour("expired certificate", "an expired certificate", UNTRUSTED, shop, "tls",
              tls="expired"),
    Behaviour("wrong certificate", "a certificate for another name", UNTRUSTED, shop, "tls",
              tls="wrong"),
    Behaviour("unknown certificate", "a certificate of an unknown authority", UNTRUSTED,
              shop, "tls", tls="unknown"),
    Behaviour("good certificate", "a valid certificate", "requests the pages", shop, tls="good"),
    Behaviour("no TLS", "plain http instead of TLS", NO_ANSWER.format("`tls`"), shop, "tls",
              start="https://127.0.0.1:{port}/", waits=True),
    Behaviour("downgrade", "a redirect from https to http",
              "follows it without the cookies and credentials of https", downgrade, tls="good"),
]  # fmt: skip

ALL: list[Behaviour] = [*RULES, *NAMES, *CERTIFICATES]
