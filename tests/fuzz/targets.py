"""The readers of strangers' bytes, and for each the properties that hold of any bytes.

A target takes bytes and returns when all is well. Any exception that the reader does not promise
is a bug, and so is an invariant that does not hold. ``words`` are what the makers of input put
together: the same for Hypothesis and for the coverage-guided fuzzer.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ada_url
import msgspec
import pycurl
from bs4 import BeautifulSoup
from lxml import etree

from crawler import Request, Response, Spider, urls
from crawler import text as terminal
from crawler.errors import (
    AccountError,
    CookieFileError,
    FetchError,
    ItemError,
    SeedError,
    SpiderError,
)
from crawler.http import redirects
from crawler.http.adapter import Body, RawResponse
from crawler.http.cookie_jar import ChangeTrackingCookieJar
from crawler.http.curl import failures
from crawler.http.curl.handle import set_up
from crawler.http.curl.transfer import DIRECT, Message, Transfer
from crawler.http.deadline import FetchContext
from crawler.job import seeds
from crawler.job.seed_formats import BadRow, Row, rows_of
from crawler.output.items import ItemWriter
from crawler.parsing import encoding, links, mime_types
from crawler.parsing.robots import MAX_SIZE, Robots
from crawler.parsing.sitemaps import Sitemap
from crawler.parsing.soup import builder as soup
from crawler.records import Cookie
from crawler.request import fingerprint
from crawler.scheduling import retry
from crawler.session import cookie_files
from crawler.session.accounts import Account, load
from tests.trees import looks, theirs

HOST = "shop.example"
PAGE = f"http://{HOST}/dir/page?q=1"
NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Target:
    """One reader: the property that must hold for any bytes, and the words of its language."""

    name: str
    check: Callable[[bytes], None]
    words: tuple[bytes, ...]


def text_of(data: bytes) -> str:
    """Any bytes as text, and any text of the UTF-8 kind from some bytes."""
    return data.decode("utf-8", "surrogateescape")


# URLs


def check_urls(data: bytes) -> None:
    """A base, and below it references: resolved as the standard's own code does, in one form."""
    base, *references = text_of(data).split("\n")
    _check_url(base)
    # What was remembered for one base must be right for others that share a part of it.
    places = [PAGE, f"http://{HOST}/dir/", f"https://{HOST}/dir/page", base, base + "?x"]
    for place in (place for place in places if urls.normalise(place)):
        for reference in references[:4]:
            url = urls.resolve(place, reference)
            assert url == _by_the_standard(urls.Base(place).url, reference)
            assert url is None or urls.resolve(place, url) == url
    for reference in references[:4]:
        _check_url(reference)


def _check_url(text: str) -> None:
    url = urls.normalise(text)
    assert url == _by_the_standard(None, text)
    if url is None:
        assert isinstance(urls.redacted(text), str)
        assert urls.canonical(text) == text
        return
    assert url.isascii()
    assert "#" not in url
    assert url.startswith(("http://", "https://"))
    assert urls.normalise(url) == url
    assert urls.resolve(PAGE, url) == url
    same = urls.canonical(url)
    assert urls.canonical(text) == same == urls.canonical(same)
    assert urls.normalise(same) is not None
    assert urls.same_origin(url, same)
    assert fingerprint(Request(url)) == fingerprint(Request(same))
    origin = urls.origin(url)
    assert "@" not in origin
    assert urls.resolve(url, "/") is not None
    assert urls.netloc(url) in origin
    assert urls.site(url)
    parts, masked = ada_url.URL(url), ada_url.URL(urls.normalise(urls.redacted(text)) or "")
    assert origin == parts.origin
    if parts.username or parts.password:
        assert (masked.username, masked.password) == ("***", "")


def _by_the_standard(base: str | None, reference: str) -> str | None:
    clean = re.sub("[\ud800-\udfff]", "\ufffd", reference)
    try:
        url = ada_url.normalize_url(clean) if base is None else ada_url.join_url(base, clean)
    except ValueError:
        return None
    return url.partition("#")[0] if url.startswith(("http://", "https://")) else None


# Seed lists


class AnyColumns(Spider):
    """Takes whatever columns a list has."""

    def parse(self, response: Response, **columns: Any) -> None:
        """Nothing is fetched."""


def check_seeds(data: bytes) -> None:
    """Every line is a seed or is reported; line numbers only grow."""
    for suffix in ("", ".csv", ".jsonl"):
        try:
            last = 0
            for row in rows_of(io.BytesIO(data), "list", suffix):
                assert isinstance(row, Row | BadRow)
                assert row.line > last or suffix != ".jsonl"
                last = row.line
            assert last <= data.count(b"\n") + data.count(b"\r") + 1
        except SeedError:
            continue
    with suppress(SeedError, SpiderError):
        for seed in seeds.read(["-"], AnyColumns(), io.BytesIO(data)):
            if isinstance(seed, Request):
                assert urls.normalise(seed.url) == seed.url
                assert len(seed.url) <= 12 * seeds.LONGEST_URL
            else:
                assert seed.where
                assert len(seed.text) <= seeds.LONGEST_SHOWN + 1


# robots.txt


def check_robots(data: bytes) -> None:
    """Rules answer every URL, and the stored form of a file means the same."""
    rules = Robots(data)
    kept = Robots(rules.body)
    assert kept.body == rules.body
    assert len(rules.body) <= 40 * min(len(data), MAX_SIZE) + 40
    for agent in ("crawler", "crawler/0.1 (+https://x.example)", "Mozilla/5.0 (compatible; a)"):
        delay = rules.crawl_delay(agent)
        assert delay == kept.crawl_delay(agent)
        assert delay is None or (math.isfinite(delay) and delay >= 0)
        for path in ("/", "/a", "/a/b?c=d", "/*", "/%2A", "/a%"):
            answer = rules.allows(f"http://{HOST}{path}", agent)
            assert answer is kept.allows(f"http://{HOST}{path}", agent)


# What a server sends before a page


BROKEN = (OSError, FetchError)
"""The errors of a server that does not speak HTTP."""
LONGEST_BODY = 1024 * 1024


def replied(data: bytes, url: str = PAGE) -> RawResponse | None:
    """Return the response that these bytes from a server are; None if they are none.

    libcurl reads them as in a crawl, from a socket that is connected already.
    """
    transfer = Transfer(Message("GET", url, []), limit=LONGEST_BODY)
    ours, theirs = socket.socketpair()
    curl = pycurl.Curl()
    with ours, theirs, contextlib.closing(curl):
        theirs.setblocking(False)
        with suppress(BlockingIOError, ConnectionError):
            theirs.send(data)
        theirs.shutdown(socket.SHUT_WR)
        set_up(curl, DIRECT)
        for option, value in (
            (pycurl.URL, url),
            (pycurl.CONNECT_TO, ["::127.0.0.1:9"]),
            (pycurl.OPENSOCKETFUNCTION, lambda *address: ours),
            (pycurl.SOCKOPTFUNCTION, lambda *address: pycurl.SOCKOPT_ALREADY_CONNECTED),
            (pycurl.HEADERFUNCTION, transfer.lines.append),
            (pycurl.WRITEFUNCTION, lambda block: None if transfer.on_data(block, 1.0) else -1),
        ):
            curl.setopt(option, value)
        transfer.on_sending(1.0)
        try:
            curl.perform()
        except pycurl.error as error:
            code, reason = error.args
            if not transfer.is_over:
                kind = failures.kind_of(code, reason, is_sent=True, is_proxied=False)
                transfer.fail_as(kind, reason)
        transfer.finish()
        try:
            head = transfer.wait()
        except FetchError:
            return None
        return RawResponse(url, head, Body(transfer, head, FetchContext()))


def check_headers(data: bytes) -> None:
    """Whatever a server answers is a response, or one of the errors that have a cause."""
    reply = replied(data)
    if reply is None:
        return
    assert 200 <= reply.status_code <= 999
    for name, value in reply.headers.items():
        assert name
        assert not set(name + value) & {"\n"}
    body = _body(reply)
    jar = ChangeTrackingCookieJar()
    jar.store_from(reply.url, reply.set_cookies)
    _check_jar(jar, PAGE)
    kind = reply.headers.get("content-type")
    _check_page(Response(PAGE, body[:4096], status=reply.status_code, headers=reply.headers))
    assert mime_types.kind(body, kind) in {"html", "xml", "other"}
    seconds = retry.parse_retry_after(reply.headers.get("retry-after", ""), NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
    if redirects.is_redirect(reply.status_code, reply.headers):
        _check_redirect(reply.status_code, reply.headers["location"])


def _body(reply: RawResponse) -> bytes:
    body = b""
    try:
        while len(body) < LONGEST_BODY and (block := reply.raw.read(65536, decode_content=True)):
            body += block
    except BROKEN:
        reply.raw.close()
    else:
        reply.raw.release_conn()
    return body


def _check_redirect(status: int, location: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        request = Request(PAGE, method=method, headers={"Authorization": "x"}, cookies={"a": "b"})
        try:
            target = redirects.redirected(request, status, location, 5)
        except FetchError:
            continue
        assert urls.normalise(target.url) == target.url
        if not urls.same_origin(target.url, PAGE):
            assert not target.headers
            assert not target.cookies


# Cookies


def check_cookies(data: bytes) -> None:
    """Cookies go back only to their server, can be stored as data, and are sent as one header."""
    lines = [b"Set-Cookie: " + line.strip(b"\r") for line in data.split(b"\n")[:50]]
    answer = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 0", b"", b""])
    for url in (PAGE, "https://a.b.example.co.uk:8443/x/y", "http://127.0.0.1/", "http://plain/"):
        reply = replied(answer, url)
        if reply is not None:
            jar = ChangeTrackingCookieJar()
            jar.store_from(reply.url, reply.set_cookies)
            _check_jar(jar, url)


def _check_jar(jar: ChangeTrackingCookieJar, url: str) -> None:
    host = (ada_url.URL(url).hostname).strip("[]")
    for cookie in jar:
        domain = cookie.domain.removesuffix(".local").lstrip(".")
        assert host == domain or host.endswith(f".{domain}")
        assert not set(f"{cookie.name}{cookie.value}") & {"\r", "\n", "\0"}
    changes = jar.pop_changes()
    kept = ChangeTrackingCookieJar()
    kept.load(msgspec.msgpack.decode(msgspec.msgpack.encode(changes), type=list[Cookie]))
    now = {(c.domain, c.path, c.name): c.value or "" for c in jar}
    again = {(c.domain, c.path, c.name): c.value or "" for c in kept}
    assert again.items() >= now.items()


# Files of a user


def check_cookie_files(data: bytes) -> None:
    """Cookies of a file are cookies of the files that are made of them."""
    try:
        found = cookie_files.read(data.decode("utf-8", "replace"), "file")
    except CookieFileError:
        return
    # A file has whole seconds, a name in each line, and no tab in front of a value.
    told = [c for c in found if not set(c.name + c.domain + c.path) & set("\t\r") and c.path]
    for form in (cookie_files.netscape, cookie_files.as_json):
        written = form(told)
        if told:
            again = cookie_files.read(written, "again")
            assert [(c.name, c.domain, c.host_only) for c in again] == [
                (c.name, c.domain, c.host_only) for c in told
            ]


@cache
def _accounts_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="crawler-fuzz-"))
    path = folder / "accounts.toml"
    path.touch(mode=0o600)
    return path


def check_accounts(data: bytes) -> None:
    """A file names accounts, or one sentence describes its fault."""
    path = _accounts_file()
    path.write_bytes(data)
    try:
        found = load(path)
    except AccountError:
        return
    assert found
    for account in found:
        assert isinstance(account, Account)
        assert account.name.isprintable()
        for secret in account.secrets:
            text = secret.known() or ""
            assert len(text) < 12 or text not in repr(account)


# Pages

TYPES = (
    None,
    "text/html",
    "text/html; charset=utf-16",
    "application/xhtml+xml",
    "text/xml",
    "text/html; charset=shift_jis",
    "application/json",
    "text/html;charset=iso-2022-jp",
)


def check_html(data: bytes) -> None:
    """Links and forms of any page are addresses that can be asked, and nothing else is raised."""
    kind = TYPES[data[0] % len(TYPES)] if data else None
    _check_page(Response(PAGE, data[1:], headers={"Content-Type": kind} if kind else {}))


def _check_page(page: Response) -> None:
    assert page.text is not None
    found = [link.url for link in page.links()]
    for url in found:
        assert urls.normalise(url) == url
    followed = [request.url for request in page.follow_all()]
    assert followed == found
    if page.root is not None:
        base = links.base_url(page.root, page.url)
        assert urls.normalise(base) == base
        for element in page.root.iter("{*}meta"):
            _check_refresh(element.get("content") or "")
        _check_forms(page)


def _check_refresh(content: str) -> None:
    refresh = links.meta_refresh(content)
    assert refresh is None or (0 <= refresh[0] < 10**9 and isinstance(refresh[1], str))


def _check_forms(page: Response) -> None:
    forms = [form for form in page.root.iter("{*}form") if isinstance(form.tag, str)]
    if not forms:
        return
    with suppress(SpiderError):
        form = page.form()
        assert all(isinstance(name, str) for name, _ in form.fields)
        for click in (None, False):
            sent = form.to_request({"a": "b"}, click=click)
            assert urls.normalise(sent.url) == sent.url
            assert sent.method in {"GET", "POST"}


SELECTORS = ("*", "p", "a[href], i", ".a", "div > *", ":not(p)", "p ~ *", "b:has(*)", "[name=a]")
"""Selectors that lxml answers, and some that BeautifulSoup must."""
XPATHS = ("//node()", "//@*", "string(//p)", "//*[re:test(name(), 'p')]")


def check_queries(data: bytes) -> None:
    """Every way to read a page gives an answer, and ``select`` gives BeautifulSoup's."""
    kind = TYPES[data[0] % len(TYPES)] if data else None
    headers = {"Content-Type": kind} if kind else {}
    body = data[1:]
    page = Response(PAGE, body, headers=headers)
    tags = {css: [str(tag) for tag in page.select(css)] for css in SELECTORS}
    for css in SELECTORS:
        first = page.select_one(css)
        assert [str(tag) for tag in [first] if tag] == tags[css][:1]
        page.css(css).getall()
    for query in ("*::text", "*::attr(class)"):
        page.css(query).getall()
    for xpath in XPATHS:
        page.xpath(xpath).getall()
    assert all(link.text is not None for link in page.links(css="*", tags="a", attrs="href"))
    for css in ("*", "p ~ *", "[name=a]"):
        with suppress(SpiderError):
            list(page.follow_all(css))
        with suppress(SpiderError):
            page.form(css).to_request({"a": "b"}, click="*")
    tree = Response(PAGE, body, headers=headers).soup
    for css in SELECTORS:
        assert [str(tag) for tag in tree.select(css)] == tags[css], css


def check_sitemaps(data: bytes) -> None:
    """Entries are addresses that can be asked, in bounded number; packed ones say the same."""
    for name, kind in (("sitemap.xml", "application/xml"), ("urls.txt", "text/plain"),
                       ("robots.txt", None), ("feed", "application/rss+xml")):  # fmt: skip
        url, headers = f"http://{HOST}/{name}", {"Content-Type": kind} if kind else {}
        sitemap = Sitemap(Response(url, data, headers=headers), most_entries=100)
        entries = list(sitemap)
        assert len(entries) <= 100
        for entry in entries:
            assert urls.normalise(entry.url) == entry.url
            assert all(isinstance(text, str) for text in entry[1:4])
            assert b"root:" not in "".join(entry[:4]).encode("utf-8", "replace")
        # Broken XML may be mended differently in pieces.
        if sitemap.kind == "text" and data.isascii():
            packed = gzip.compress(data, compresslevel=1, mtime=0)
            again = Sitemap(Response(url, packed, headers=headers), most_entries=100)
            assert list(again) == entries


def check_soup(data: bytes) -> None:
    """The tree is the one that BeautifulSoup's own builder makes, node by node."""
    markup = encoding.as_utf8(data, "utf-8")
    if markup.startswith(b"\xef\xbb\xbf"):  # a second mark: BeautifulSoup alone drops all of them
        return
    expected: BeautifulSoup = theirs(markup)
    assert looks(soup.build(markup)) == looks(expected)


def check_encoding(data: bytes) -> None:
    """A header and a body: there is always a codec, and always text."""
    header, _, body = data.partition(b"\n")
    kind = header.decode("latin-1")
    name = encoding.detect(body, kind)
    assert isinstance(encoding.decode(body, name), str)
    markup = encoding.as_utf8(body, name)
    assert encoding.as_utf8(markup, "utf-8") == markup or markup.startswith(b"\xef\xbb\xbf")
    page = Response(PAGE, body, headers={"Content-Type": kind})
    with suppress(FetchError):
        page.json()
    if page.is_xml:
        assert page.root is None or isinstance(page.root, etree._Element)
        assert b"root:" not in etree.tostring(page.root) if page.root is not None else True


# What leaves


def check_items(data: bytes) -> None:
    """An item is one line, which says the same, or it is refused."""
    writer = ItemWriter()
    texts = text_of(data).split("\n")
    values: list[Any] = [dict.fromkeys(texts[:3], texts), {"text": data}]
    try:
        values.append({"value": msgspec.msgpack.decode(data)})
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        values.append({"value": None})
    for value in values:
        try:
            line = writer.line(value)
        except ItemError:
            line = writer.rejected(value, PAGE, "does not fit")
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert isinstance(json.loads(line), dict)


def check_messages(data: bytes) -> None:
    """Printed text has no control character, and all other characters."""
    text = data.decode("utf-8", "replace")
    shown = terminal.printable(text)
    assert not any(_commands(char) for char in shown)
    assert terminal.printable(shown) == shown
    line = terminal.one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(_commands(char) or char == "\n" for char in line)
    if text.isprintable():
        assert shown == line == text


def _commands(char: str) -> bool:
    return char not in "\n\t" and (ord(char) < 32 or 0x7F <= ord(char) < 0xA0)


HTML = (
    b"<a href=", b"<a href='/a b?c=\xe9#d'>", b"<base href='//o.example/x/'>", b"<form action='",
    b"<form id=f>", b"</form>", b"<input form=f name=a value=b>", b"<input type=submit name=s>",
    b"<select name=x multiple>", b"<option selected>", b"<textarea name=t>", b"<button>",
    b"<fieldset disabled>", b"<legend>", b"<meta http-equiv=refresh content='1;url=/x'>",
    b"<meta charset=utf-16>", b"<meta charset=gbk>", b"<table><tr><td>", b"</html>", b"<body>",
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?xml version='1.0' encoding='utf-16'?>", b"<script>",
    b"</script>", b"<svg xmlns:xlink='u' xlink:href='#'>", b"&amp;", b"&#0;", b"&#x110000;", b"<p>",
    b"<!DOCTYPE html>", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;", b"'>",
    b"<i\x1f", b"<p\xef\xbf\xbe>", b" a\x01=b", b"='\x02'", b"<q:r>", b"<!--\x03", b"<?a\x04",
    b"&#x1f;", b"<p/>", b"<html/>", b"<input disabled checked=checked>", b"<p disabled=disabled>",
    b"<area href=mailto:a@b.c>", b"class='a  b'", b"<pre>\n", b"<template>", b"\0", b"\xff\xfe",
    b"\xef\xbb\xbf", b"<html xmlns='http://www.w3.org/1999/xhtml'>", b"<br/>", b"{a}b='c'",
)  # fmt: skip
COOKIES = (
    b"a=b", b"; Domain=", b"shop.example", b".example", b"example.co.uk", b"co.uk", b"; Path=/",
    b"; Expires=Wed, 21 Oct 2065 07:28:00 GMT", b"; Max-Age=", b"-1", b"99999999999999999999",
    b"; Secure", b"; HttpOnly", b"; SameSite=None", b"__Host-a=b", b"\n", b'"', b",", b"=", b"\xe9",
    b"127.0.0.1", b"localhost", b"; Version=1", b"; Port=\"80\"", b"; Comment=x", b"\t",
)  # fmt: skip
URLS = (
    b"http://", b"https://", b"//", b"/", b"..", b".", b"%2e", b"%", b"%41", b"?", b"#", b"&", b"=",
    b"+", b";", b"@", b":", b":80", b":443", b"\\", b"shop.example", b"[::1]", b"127.1", b"0x7f.1",
    b"xn--", b"\xc3\xa9", b"\xe3\x80\x82", b"\n", b"\t", b" ", b"javascript:", b"mailto:", b"a",
    b"dir/page", b"HTTP:", b"user:secret@", b"|", b"^", b"`", b"{}", b"\xed\xa0\x80", b"a=b&b=a",
)  # fmt: skip
HEADERS = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 302 \r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n",
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\n",
    b"Content-Encoding: gzip\r\n", b"Content-Encoding: br, zstd, deflate\r\n", b"Location: ", b"/x",
    b"Set-Cookie: a=b; Path=/\r\n", b"Retry-After: ", b"Fri, 31 Dec 9999 23:59:59 GMT", b"-1", b"9",
    b"Content-Type: text/html; charset=", b"utf-16", b"Content-Disposition: attachment\r\n", b": ",
    b"Connection: close\r\n", b" folded\r\n", b"\x1b[2J", b"\0", b"\xff", b"HTTP/1.1 429 \r\n",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", b"HTTP/1.1 204 \r\n", b"9" * 30, b"\xb2",
)  # fmt: skip

SITEMAPS = (
    b"<?xml version='1.0' encoding='utf-8'?>", b"<urlset xmlns='http://www.sitemaps.org/schemas/'>",
    b"<url><loc>https://shop.example/a</loc>", b"<lastmod>2005-01-01</lastmod>", b"</url>", b"-->",
    b"</urlset>", b"<sitemapindex>", b"<sitemap>", b"</loc>", b"<loc>", b"<channel><item><link>",
    b"<pubDate>Sat, 01 Jan 2005 12:00:00 GMT</pubDate>", b"<feed><entry><link href='/x'/>", b"\xe9",
    b"]]>", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"&b;", b"&amp;", b"&#0;",
    b"<xhtml:link rel='alternate' hreflang='de' href='/de'/>", b"Sitemap: /s.xml\n", b"\0",
    b"https://shop.example/b\n", b"<rdf:RDF>", b"\xff\xfe", b"\xef\xbb\xbf", b"<!--", b"<![CDATA[",
    b"\x1f\x8b", b"<rss>",
)  # fmt: skip
LISTS = (
    *URLS, b"# ", b"url,city\n", b'{"url": "', b'"}', b"[", b'"', b"\r", b"\xef\xbb\xbf", b"\0",
    b"url\tname\n", b",", b"url;url\n", b'"\n"', b"\xff\xfe",
)  # fmt: skip
RULES = (
    b"User-agent: *\n", b"User-agent: crawler\n", b"Disallow: /", b"Allow: /", b"*", b"$", b"\n",
    b"Crawl-delay: ", b"1e999", b"nan", b"-1", b"Sitemap: ", b"\r", b"\xef\xbb\xbf", b"#", b" :",
    b"<br>", b"%2F", b"%", b"\xe9", b"Mozilla/5.0 (compatible; crawler)", b"\x1c", b"1/0",
    b"Request-rate: 1/5", b"Visit-time: 0600-0845", b"1/5 0600-9999",
)  # fmt: skip
COOKIE_FILES = (
    b"# Netscape HTTP Cookie File\n", b"\t", b"TRUE", b"FALSE", b"/", b"0", b"#HttpOnly_", b"}]",
    b"shop.example", b'[{"name":"a","value":"b","domain":"x.example"', b'"cookies":', b"null",
    b'"expires":', b"1e400", b"[", b'"hostOnly":', b"\n", b"\r", b"\\ud800", b'"path":',
    b"x.example\tTRUE\t/\tTRUE\t1\ta\tb\n",
)  # fmt: skip
ACCOUNTS = (
    b"[anna]\n", b"user = ", b"password = ", b'{env = "PATH"}', b'{file = "a"}', b'"x"', b"-1",
    b"delay = ", b"max_pages = ", b"per = ", b'"hour"', b"cooldown = ", b"inf", b"nan", b"true",
    b"[", b"]", b"\n", b'""', b"1979-05-27", b"{prompt = true}", b"[[a]]", b"\'\'\'", b"\\u001b",
    b"a.b.c = 1",
)  # fmt: skip
BODIES = (
    *HTML, b"text/html; charset=", b"utf-7", b"\n", b"big5", b'"', b"application/json\n", b"\x1b$B",
    b"text/xml\n",
)  # fmt: skip
VALUES = (
    b"\n", b"\r", b"\xe2\x80\xa8", b"\xc2\x85", b"\x81\xa1a", b"=1+1", b'"', b"\\",
    b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
)  # fmt: skip
COMMANDS = (
    b"\x1b[2J", b"\x1b]0;t\x07", b"\xc2\x9b31m", b"\r", b"\n", b"\xe2\x80\xae", b"\\x1b",
    b"\xe2\x80\xa8", b"\x7f",
)  # fmt: skip

TARGETS = {
    target.name: target
    for target in (
        Target("urls", check_urls, URLS),
        Target("seeds", check_seeds, LISTS),
        Target("robots", check_robots, RULES),
        Target("sitemaps", check_sitemaps, SITEMAPS),
        Target("headers", check_headers, HEADERS),
        Target("cookies", check_cookies, COOKIES),
        Target("cookie_files", check_cookie_files, COOKIE_FILES),
        Target("accounts", check_accounts, ACCOUNTS),
        Target("html", check_html, HTML),
        Target("soup", check_soup, HTML),
        Target("queries", check_queries, HTML),
        Target("encoding", check_encoding, BODIES),
        Target("items", check_items, VALUES),
        Target("messages", check_messages, COMMANDS),
    )
}
CORPUS = Path(__file__).parent / "corpus"


def corpus(name: str) -> Iterator[Path]:
    """The inputs that are kept for a target: seeds of the search, and all that found a bug."""
    return (path for path in sorted((CORPUS / name).iterdir()) if path.is_file())
