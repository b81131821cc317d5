"""Pages with a wrong type or encoding, endless nesting, or links to traps."""

from __future__ import annotations

import random
from typing import Any

from tests.hostile.web import Behaviour, Wire, links

READ = "reads it as any page"


def page(body: str | bytes, kind: str = "text/html; charset=utf-8", *headers: str) -> Any:
    """Return a server of this page at ``/``, and of an ordinary page at any other path."""

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
    """Link to a table in 300 orders, sorted by several columns each."""
    rng = random.Random(wire.path)
    names = [f"k{n}" for n in range(9)]

    def order() -> str:
        rng.shuffle(names)
        return "&".join(f"{name}={rng.randrange(9)}" for name in names)

    return wire.page(links(*(f"/?{order()}" for _ in range(300))))


def same_orders(wire: Wire) -> bool:
    """Link to one page by 300 URLs with the same parameters in another order."""
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
    """Put a new session id into the path of each link."""
    session_id = random.Random(wire.path).randrange(10**12)
    return wire.page(links(*(f"/s{session_id}/{name}" for name in ("a", "b", "c"))))


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
        "css, xpath, links, forms and soup read up to a depth of 2,048; `run.log` says that "
        "the rest is ignored",
        page("<div>" * DEEP + "<a href=/2>x</a><form><input name=q></form>"),
    ),
    Behaviour(
        "deep and unmatched",
        f"HTML nested {DEEP:,} deep, and as many unmatched end tags",
        "the same",
        page("<div>" * DEEP + "</b>" * DEEP),
    ),
    Behaviour(
        "deep table", f"tables nested {DEEP:,} deep", "the same", page("<table><tr><td>" * DEEP)
    ),
    Behaviour(
        "deep fonts", f"{DEEP:,} unclosed `<p><font>`", "the same",
        page("<p><font>" * DEEP + "x"),
    ),
    Behaviour(
        "deep XML", f"XML nested {DEEP:,} deep", "the same; the soup has the whole tree",
        page("<a>" * DEEP, "text/xml"),
    ),
    Behaviour(
        "billion laughs", "XML whose entities expand to a gigabyte", "does not expand the entities",
        page(LAUGHS, "text/xml"),
    ),
    Behaviour(
        "stealing XML", "XML whose entities name files of this machine", "does not read them",
        page(STEALING, "text/xml"),
    ),
    Behaviour(
        "many attributes", "a tag with 20,000 attributes", READ,
        page("<p " + " ".join(f"a{n}=1" for n in range(20_000)) + ">x"),
    ),
    Behaviour(
        "open comment", "2 MB with the beginnings of 150,000 comments, none closed", READ,
        page("<!-- <a href=x>" * 150_000),
    ),
    Behaviour("odd tags", "a megabyte of `<`", READ, page("<" * 1_000_000)),
    Behaviour("picture as page", "a PNG declared as HTML", READ, page(PNG)),
    Behaviour("page as picture", "HTML declared as a PNG",
              "finds no links in it, since it is not a page; `text`, `css` and `soup` still work",
              page(links("/2"), "image/png")),
    Behaviour("JSON as page", "JSON declared as HTML", READ, page('{"a": [1, "<b>"]}')),
    Behaviour("no type", "a page without a Content-Type", "decides by its first bytes",
              page(links("/2"), "")),
    Behaviour("odd type", "a Content-Type of 60 KB", READ,
              page(links("/2"), "text/html" + ";x" * 30_000)),
    Behaviour("empty page", "an empty page", "passes it to the callback", page("")),
    Behaviour("NUL", "a page of NUL bytes", READ, page(bytes(100_000))),
    Behaviour("wrong encoding", "Latin-1 declared as UTF-8",
              "reads it; invalid bytes become U+FFFD", page(TEXT.encode("latin-1"))),
    Behaviour("unknown encoding", "an unknown encoding",
              "detects it from the page, as browsers do",
              page(TEXT.encode(), "text/html; charset=klingon")),
    Behaviour("dangerous encoding", "UTF-7 that contains a script",
              "does not read UTF-7; nor do browsers",
              page(b"+ADw-script+AD4-", "text/html; charset=utf-7")),
    Behaviour("UTF-16", "UTF-16 without a byte order mark and without a declaration",
              "detects it by the zeros, as Firefox does", page(TEXT.encode("utf-16-le"),
                                                               "text/html")),
    Behaviour("long links", "links of 100 KB", "skips those longer than `max_url_length`",
              page(links(*("/" + "x" * 100_000 + str(n) for n in range(20)), "/2"))),
    Behaviour("base elsewhere", "`<base>` at another host",
              "resolves the links there: out of scope",
              page("<base href='http://elsewhere.invalid/'>" + links("/2"))),
    Behaviour("base within", "`<base>` at a local address, with every host in scope",
              "does not connect; the links fail as `private address`",
              page("<base href='http://127.0.0.3/'>" + links("/2")), settings={"allowed": "*"}),
    Behaviour("long base", "`<base>` of 1 MB, and 20,000 links", "ignores the base",
              page(f"<base href='/{'x' * 1_000_000}/'>"
                   + links(*(f"{n}" for n in range(20_000)))),
              settings={"max_requests_per_page": 10}),
    Behaviour("many links", "a page with 20,000 links",
              "follows `max_requests_per_page` of them (100 here)",
              page(links(*(f"/{n}" for n in range(20_000)))),
              settings={"max_requests_per_page": 100}),
    Behaviour("links within", "links to local addresses and `file:`, with every host in scope",
              "does not connect; they fail as `private address`; `file:` is not a link", to_private,
              settings={"allowed": "*"}),
    Behaviour("calendar", "each page links to the next month, endlessly",
              "follows them up to `max_depth` (50 here)", calendar, settings={"max_depth": 50}),
    Behaviour("session ids", "each visit has a new id in all its links",
              "makes `max_pages_per_host` requests (50 here)", sessions,
              settings={"max_pages_per_host": 50}),
    Behaviour("query orders",
              "a query with its parameters in a million orders, with changing values",
              "makes `max_pages_per_host` requests (50 here)", orders,
              settings={"max_pages_per_host": 50}),
    Behaviour("same query", "the same query with its parameters in a million orders",
              "fetches it once",
              same_orders),
    Behaviour("relative links", "relative links that make each path longer",
              "follows them until a segment occurs in the path more than 3 times", relative),
]  # fmt: skip
