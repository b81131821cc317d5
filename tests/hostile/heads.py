"""Hostile or invalid status lines, headers, redirects and Retry-After."""

from __future__ import annotations

import itertools
from typing import Any

from tests.hostile.web import Behaviour, Wire, links

TOO_MANY = (
    "follows `max_redirects` of them, with one request each, then fails as `too many redirects`"
)
NOWHERE = "fails as `bad redirect`, without a retry"
REFUSED = "does not connect; fails as `private address`"
WIDE = {"allowed": "*"}


def raw(data: bytes) -> Any:
    return lambda wire: wire.send(data)


def endless_headers(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n")
    wire.flood(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in itertools.count())


def endless_line(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nX: ")
    wire.flood(itertools.repeat(b"y" * 65536))


def endless_hints(wire: Wire) -> None:
    wire.flood(itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"))


def cookies(wire: Wire) -> bool:
    """Set a thousand cookies on each of ten pages."""
    number = int(wire.path[1:] or 0)
    lines = [f"Set-Cookie: c{number}x{n}={n}" for n in range(1000)]
    following = links(f"/{number + 1}") if number < 9 else "<p>the last"
    return wire.page(following, *lines)


def large_cookie(wire: Wire) -> bool:
    return wire.page("<p>page", f"Set-Cookie: c={'x' * 1024 * 1024}")


def poisoned_cookies(wire: Wire) -> bool:
    """Set cookies that would break the header of every later request if they were kept."""
    sent = wire.fields.get("cookie", "")
    if "x-injected" in wire.fields or not sent.isprintable():
        wire.web.leaked.append(sent)
    lines = ["Set-Cookie: a=b\rX-Injected: 1", "Set-Cookie: n=\0", "Set-Cookie: l=\xe9\xff"]
    return wire.page(links("/2") if wire.path == "/" else "<p>the last", *lines)


HEADERS: list[Behaviour] = [
    Behaviour(
        "endless headers",
        "endless headers",
        "stops after 256 KiB; fails as `headers too large`, without a retry",
        endless_headers,
        "headers too large",
        tries=1,
    ),
    Behaviour(
        "endless header",
        "an endless header",
        "the same",
        endless_line,
        "headers too large",
        tries=1,
    ),
    Behaviour(
        "endless hints",
        "endless `103 Early Hints`",
        "the same",
        endless_hints,
        "headers too large",
        tries=1,
    ),
    Behaviour(
        "ten thousand cookies",
        "a thousand new cookies on each of ten pages",
        "keeps 180, as browsers do",
        cookies,
    ),
    Behaviour(
        "large cookie",
        "a cookie of 1 MB",
        "stops after 256 KiB of headers; fails as `headers too large`",
        large_cookie,
        "headers too large",
        tries=1,
    ),
    Behaviour(
        "poisoned cookies",
        "cookies that contain line ends, NUL and Latin-1",
        "ignores those with control characters; later requests are correct",
        poisoned_cookies,
    ),
    Behaviour(
        "odd bytes",
        "headers with NUL, bytes above 127, without a colon, without a name",
        "reads the valid headers, and ignores the other lines",
        raw(
            b"HTTP/1.1 200 OK\r\nX-Odd: \x00\x01\xff\xfe\r\nno colon\r\n: no name\r\n"
            b"\xff\xff: y\r\n"
            b"Content-Length: 7\r\nContent-Type: text/html\r\n\r\n<p>page"
        ),
    ),
    Behaviour(
        "no http",
        "answers in another protocol (SSH)",
        "retries, then fails as `connection`",
        lambda wire: wire.send(b"SSH-2.0-OpenSSH_9.9\r\n") and None,
        "connection",
        tries=2,
    ),
    Behaviour(
        "odd status",
        "a status of 99999",
        "reads the first three digits, so fails as `http 999`",
        lambda wire: wire.send(b"HTTP/1.1 99999 Oops\r\nContent-Length: 0\r\n\r\n") and None,
        "http 999",
        tries=1,
    ),
    Behaviour(
        "nothing",
        "closes the connection without an answer",
        "retries, then fails as `connection`",
        lambda wire: None,
        "connection",
        tries=3,  # the first one over the connection of robots.txt, and at once over a fresh one
    ),
]


# Redirects


def to(location: str, status: str = "302 Found") -> Any:
    return lambda wire: wire.redirect(location.replace("{vault}", str(wire.web.vault)), status)


def chain(wire: Wire) -> bool:
    return wire.redirect(f"/{int(wire.path[1:] or 0) + 1}")


def elsewhere(name: str, location: str, what: str) -> Behaviour:
    return Behaviour(
        f"redirect to {name}",
        f"a redirect to {what}",
        REFUSED,
        to(location),
        "private address",
        settings=WIDE,
    )


REDIRECTS: list[Behaviour] = [
    Behaviour(
        "redirect to itself", "a redirect to itself", TOO_MANY, to("/"), "too many redirects"
    ),
    Behaviour(
        "redirect loop",
        "two pages that redirect to each other",
        TOO_MANY,
        lambda wire: wire.redirect("/b" if wire.path == "/" else "/"),
        "too many redirects",
    ),
    Behaviour("redirect chain", "endless redirects", TOO_MANY, chain, "too many redirects"),
    Behaviour(
        "redirect to a file", "a redirect to `file:`", NOWHERE, to("file:///etc/passwd"),
        "bad redirect", tries=1,
    ),
    Behaviour(
        "redirect to a script", "a redirect to `javascript:`", NOWHERE, to("javascript:alert(1)"),
        "bad redirect", tries=1,
    ),
    Behaviour(
        "redirect to data", "a redirect to `data:`", NOWHERE, to("data:text/html,<p>page"),
        "bad redirect", tries=1,
    ),
    Behaviour(
        "long redirect", "a redirect to a URL of 100 KB", NOWHERE, to("/" + "x" * 100_000),
        "bad redirect", tries=1,
    ),
    Behaviour(
        "redirect out of scope",
        "a page that redirects to another host",
        "does not follow it, and notes it in `run.log`",
        lambda wire: (
            wire.page(links("/away"))
            if wire.path == "/"
            else wire.redirect("http://elsewhere.invalid/")
        ),
    ),
    elsewhere("the next port", "http://127.0.0.1:{vault}/", "another port of this machine"),
    elsewhere("localhost", "http://localhost:{vault}/", "`localhost`"),
    elsewhere("loopback", "http://[::1]:{vault}/", "`[::1]`"),
    elsewhere("nowhere", "http://0.0.0.0:{vault}/", "`0.0.0.0`, which is this machine, too"),
    elsewhere("a number", "http://2130706433:{vault}/", "`2130706433`, which is `127.0.0.1`"),
    elsewhere("an octal", "http://0177.1:{vault}/", "`0177.1`, which is `127.0.0.1`"),
    elsewhere("a mapped address", "http://[::ffff:7f00:1]:{vault}/", "`[::ffff:7f00:1]`"),
    elsewhere("a private network", "http://10.0.0.1/", "`10.0.0.1`"),
    elsewhere("metadata", "http://169.254.169.254/latest/", "the metadata service of a cloud"),
]  # fmt: skip


# Retry-After


def after(name: str, value: str, status: str) -> Any:
    """Return a server that answers the first request with ``status``, later ones with a page."""

    def serve(wire: Wire) -> bool:
        if wire.web.asked[name, "/"] > 1:
            return wire.page("<p>page")
        return wire.page("later", *([f"Retry-After: {value}"] if value else []), status=status)

    return serve


GRANTED = 2.0
"""Seconds of ``max_retry_wait``, longer than the back-off without a Retry-After."""
BUSY, GONE = "429 Too Many Requests", "503 Service Unavailable"
WAITS: tuple[tuple[str, str, str], ...] = (
    ("", BUSY, "waits for a second, then retries"),
    ("", GONE, "the same"),
    ("-5", BUSY, "ignores it: waits for a second, then retries"),
    ("soon", GONE, "the same"),
    ("1e9", BUSY, "the same"),
    ("9" * 400, GONE, "the same"),
    ("Wed, 99 Foo 2099 25:61:61 GMT", BUSY, "the same"),
    ("Wed, 21 Oct 2015 07:28:00 GMT", GONE, "the same, since this time has passed"),
    (
        "31536000",
        BUSY,
        "waits for `max_retry_wait` (two seconds here) instead of a year, then retries",
    ),
    ("Fri, 31 Dec 9999 23:59:59 GMT", GONE, "the same"),
)


def waits() -> list[Behaviour]:
    behaviours = []
    for value, status, reaction in WAITS:
        shown = value if len(value) < 40 else f"{value[:3]}… (400 digits)"
        name = f"retry-after {shown or 'none'} {status[:3]}"
        what = (
            f"{status[:3]} with `Retry-After: {shown}`"
            if value
            else f"{status[:3]} without `Retry-After`"
        )
        settings = {"max_retry_wait": GRANTED}
        behaviours.append(
            Behaviour(name, what, reaction, after(name, value, status), settings=settings, tries=2)
        )
    return behaviours


ALL: list[Behaviour] = [*HEADERS, *REDIRECTS, *waits()]
