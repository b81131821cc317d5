"""Pages that are not what they say, nested without end, or full of links that lead nowhere."""

from __future__ import annotations

import random
from typing import Any

from tests.hostile.web import Behaviour, Wire, links

READ = "reads it like any page"


def page(body: str | bytes, kind: str = "text/html; charset=utf-8", *headers: str) -> Any:
    """One page, whatever is asked for besides."""

    def serve(wire: Wire) -> bool:
        if wire.path != "/":
            return wire.page("<p>another page")
        return wire.page(body, *headers, kind=kind)

    return serve


DEEP = 100_000
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    + "]><a>&l9;</a>"
)
STEALING = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">'
    '<!ENTITY % y SYSTEM "http://127.0.0.1:9/y.dtd"> %y;]><a>&x;</a>'
)
PNG = b"\x89PNG\r\n\x1a\n" + random.Random(5).randbytes(50_000)
TEXT = "<html><title>Grüße</title><body><p>Grüße aus Köln</p><a href='/2'>weiter</a></body></html>"


def orders(wire: Wire) -> bool:
    """A table that can be sorted by each of its columns, after each other."""
    rng = random.Random(wire.path)
    names = [f"k{n}" for n in range(9)]

    def order() -> str:
        rng.shuffle(names)
        return "&".join(f"{name}={rng.randrange(9)}" for name in names)

    return wire.page(links(*(f"/?{order()}" for _ in range(300))))


def same_orders(wire: Wire) -> bool:
    """The same parameters in another order: one page, by any other name."""
    rng = random.Random(wire.path)
    pairs = [f"k{n}={n}" for n in range(9)]

    def order() -> str:
        rng.shuffle(pairs)
        return "&".join(pairs)

    return wire.page(links(*(f"/?{order()}" for _ in range(300))))


def calendar(wire: Wire) -> bool:
    month = int(wire.path[1:] or 0)
    return wire.page(links(f"/{month + 1}"))


def sessions(wire: Wire) -> bool:
    """Each visit gets an id of its own in the path of each link."""
    id = random.Random(wire.path).randrange(10**12)
    return wire.page(links(*(f"/s{id}/{name}" for name in ("a", "b", "c"))))


def relative(wire: Wire) -> bool:
    return wire.page(links("shop/", "help/"))


def to_private(wire: Wire) -> bool:
    vault = wire.web.vault
    return wire.page(
        links(f"http://127.0.0.1:{vault}/", f"http://localhost:{vault}/", "http://192.168.0.1/",
              "http://[fe80::1]/", "http://100.64.0.1/", "file:///etc/passwd", "gopher://a/")
    )  # fmt: skip


ALL: list[Behaviour] = [
    Behaviour(
        "deep page",
        f"HTML nested {DEEP:,} deep",
        "css, xpath, links, forms and soup read what is less than 2,048 deep; `run.log` says that "
        "the rest is ignored",
        page("<div>" * DEEP + "<a href=/2>x</a><form><input name=q></form>"),
    ),
    Behaviour(
        "deep and unmatched",
        f"HTML nested {DEEP:,} deep, and as many end tags that match nothing",
        "the same",
        page("<div>" * DEEP + "</b>" * DEEP),
    ),
    Behaviour(
        "deep table", f"tables nested {DEEP:,} deep", "the same", page("<table><tr><td>" * DEEP)
    ),
    Behaviour(
        "deep fonts", f"{DEEP:,} `<p><font>` that nobody closes", "the same",
        page("<p><font>" * DEEP + "x"),
    ),
    Behaviour(
        "deep XML", f"XML nested {DEEP:,} deep", "the same; the soup has it all",
        page("<a>" * DEEP, "text/xml"),
    ),
    Behaviour(
        "billion laughs", "XML whose entities would be a gigabyte", "leaves the entities alone",
        page(LAUGHS, "text/xml"),
    ),
    Behaviour(
        "stealing XML", "XML whose entities are files of this machine", "leaves them alone",
        page(STEALING, "text/xml"),
    ),
    Behaviour(
        "many attributes", "a tag with 20,000 attributes", READ,
        page("<p " + " ".join(f"a{n}=1" for n in range(20_000)) + ">x"),
    ),
    Behaviour(
        "open comment", "2 MB that begin 200,000 comments and end none", READ,
        page("<!-- <a href=x>" * 150_000),
    ),
    Behaviour("odd tags", "a megabyte of `<`", READ, page("<" * 1_000_000)),
    Behaviour("picture as page", "a PNG that says that it is HTML", READ, page(PNG)),
    Behaviour("page as picture", "HTML that says that it is a PNG",
              "finds no links in it, as it is no page; `text`, `css` and `soup` work all the same",
              page(links("/2"), "image/png")),
    Behaviour("JSON as page", "JSON that says that it is HTML", READ, page('{"a": [1, "<b>"]}')),
    Behaviour("no type", "a page without a type", "looks at its first bytes",
              page(links("/2"), "")),
    Behaviour("odd type", "a type of 60 KB", READ, page(links("/2"), "text/html" + ";x" * 30_000)),
    Behaviour("empty page", "a page of no bytes", "hands it to the callback as it is", page("")),
    Behaviour("NUL", "a page of NUL bytes", READ, page(bytes(100_000))),
    Behaviour("wrong encoding", "Latin-1 that says that it is UTF-8",
              "reads it; bytes that are no UTF-8 become U+FFFD", page(TEXT.encode("latin-1"))),
    Behaviour("unknown encoding", "an encoding that there is not",
              "decides by the page itself, as browsers do",
              page(TEXT.encode(), "text/html; charset=klingon")),
    Behaviour("dangerous encoding", "UTF-7, with a script in it",
              "does not read UTF-7, as browsers do not",
              page(b"+ADw-script+AD4-", "text/html; charset=utf-7")),
    Behaviour("UTF-16", "UTF-16 without a byte order mark, and nothing says so",
              "notices it by the zeros, as Firefox does", page(TEXT.encode("utf-16-le"),
                                                               "text/html")),
    Behaviour("long links", "links of 100 KB", "leaves out what is longer than `max_url_length`",
              page(links(*("/" + "x" * 100_000 + str(n) for n in range(20)), "/2"))),
    Behaviour("base elsewhere", "`<base>` at another host", "the links lead there: out of scope",
              page("<base href='http://elsewhere.invalid/'>" + links("/2"))),
    Behaviour("base within", "`<base>` at a local address, and any host is in scope",
              "does not connect; fails what is there as `private address`",
              page("<base href='http://127.0.0.3/'>" + links("/2")), settings={"allowed": "*"}),
    Behaviour("long base", "`<base>` of 1 MB, and 20,000 links", "takes no such base",
              page(f"<base href='/{'x' * 1_000_000}/'>"
                   + links(*(f"{n}" for n in range(20_000)))),
              settings={"max_requests_per_page": 10}),
    Behaviour("many links", "a page with 20,000 links",
              "takes `max_requests_per_page` of them (100 here)",
              page(links(*(f"/{n}" for n in range(20_000)))),
              settings={"max_requests_per_page": 100}),
    Behaviour("links within", "links to local addresses and `file:`, and any host is in scope",
              "does not connect; fails them as `private address`; `file:` is no link", to_private,
              settings={"allowed": "*"}),
    Behaviour("calendar", "each page links to the next month, for ever",
              "follows it to `max_depth` (50 here)", calendar, settings={"max_depth": 50}),
    Behaviour("session ids", "each visit has a new id in all its links",
              "makes `max_pages_per_host` requests (50 here)", sessions,
              settings={"max_pages_per_host": 50}),
    Behaviour("query orders", "a million orders of a query, with other values",
              "makes `max_pages_per_host` requests (50 here)", orders,
              settings={"max_pages_per_host": 50}),
    Behaviour("same query", "a million orders of the same query", "takes them for one page",
              same_orders),
    Behaviour("relative links", "relative links that make each path longer",
              "follows them until a segment stands in the path more than 3 times", relative),
]  # fmt: skip
