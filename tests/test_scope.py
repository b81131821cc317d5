"""Scope: which URLs a job may ask for."""

from __future__ import annotations

import pickle

import pytest

from crawler import scope
from crawler.errors import SettingsError, SpiderError
from crawler.scope import CredentialOrigins, DenyList, NetlocSet, Scope
from crawler.url_words.shapes import shape_of


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        (
            "example.com",
            [
                "https://example.com/",
                "http://www.example.com:8080/x",
                "http://u:p@a.b.example.com/",
            ],
            ["https://example.org/", "https://notexample.com/", "https://example.com.evil.org/"],
        ),
        (
            "127.0.0.1:8001",
            ["http://127.0.0.1:8001/x", "https://127.0.0.1:8001/"],
            ["http://127.0.0.1:8002/", "http://127.0.0.1/"],
        ),
        ("127.0.0.1", ["http://127.0.0.1:8001/x", "http://127.0.0.1/"], ["http://127.0.0.2/"]),
        ("[::1]", ["http://[::1]/", "http://[::1]:81/"], ["http://[::2]/"]),
        ("[::1]:81", ["http://[::1]:81/"], ["http://[::1]/"]),
        (
            "shop.example:443",
            ["https://shop.example/", "http://shop.example:443/"],
            ["http://shop.example/", "https://www.shop.example/"],
        ),
        (".Example.COM", ["https://www.example.com/"], ["https://example.org/"]),
        ("bücher.example", ["https://xn--bcher-kva.example/"], ["https://bucher.example/"]),
        ("*", ["https://example.com/", "http://[::1]:8/"], []),
    ],
)
def test_domains(pattern: str, allowed: list[str], refused: list[str]) -> None:
    rules = Scope.of_domains([pattern])
    for url in allowed:
        assert rules.allows(url), url
    for url in refused:
        assert not rules.allows(url), url


def test_one_domain_need_not_be_a_list() -> None:
    assert Scope.of_domains("example.com").allows("https://example.com/")


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("https://shop.example:8443/x", "write 'shop.example:8443'"),
        ("shop.example/x", "write 'shop.example'"),
        ("http:///", "which is a URL"),
        ("*.shop.example", "write 'shop.example', which includes its subdomains"),
        ("", "not a domain"),
        ("a b", "not a domain"),
        ("user@shop.example", "not a domain"),
        ("shop.example:http", "not a domain"),
        ("shop.example:99999", "not a domain"),
        (None, "not None"),
    ],
)
def test_texts_that_are_no_domain_are_refused_in_one_sentence(pattern: str, hint: str) -> None:
    with pytest.raises(SpiderError, match="allowed_domains") as caught:
        Scope.of_domains(["good.example", pattern])
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_in_a_pattern_is_not_shown() -> None:
    with pytest.raises(SpiderError) as caught:
        Scope.of_domains(["https://user:secret@shop.example/"])
    assert "secret" not in str(caught.value)


def test_seeds_allow_their_netlocs_and_nothing_else() -> None:
    rules = Scope.of_netlocs({"shop.example", "other.example:8080"})
    assert rules.allows("https://shop.example/x")
    assert rules.allows("http://shop.example/x")
    assert rules.allows("http://other.example:8080/")
    assert not rules.allows("https://www.shop.example/")
    assert not rules.allows("https://shop.example:8443/")
    assert not rules.allows("http://other.example/")
    assert not rules.everything


@pytest.mark.parametrize("most_recent", [1, 3, 1000])
def test_a_set_of_netlocs_holds_what_was_added(
    monkeypatch: pytest.MonkeyPatch, most_recent: int
) -> None:
    monkeypatch.setattr("crawler.scope._MOST_RECENT", most_recent)
    names = [f"{number}.example" for number in range(200)]
    netlocs = NetlocSet(names[:100])
    assert [netlocs.add(name) for name in names] == [False] * 100 + [True] * 100
    copy = pickle.loads(pickle.dumps(netlocs.copy()))
    assert netlocs.add("later.example")
    for name in names:
        assert name in netlocs
        assert name in copy
    assert "later.example" not in copy
    assert not any(f"www.{name}" in netlocs for name in names)


def test_a_million_netlocs_take_eight_bytes_each() -> None:
    netlocs = NetlocSet(f"{number}.example" for number in range(200_000))
    assert len(pickle.dumps(netlocs)) < 8.1 * 200_000
    for number in range(200_000, 210_000):
        netlocs.add(f"{number}.example")
    assert len(netlocs._arrays) < 8


def test_a_netloc_added_later_counts_though_it_was_refused_before() -> None:
    rules = Scope.of_netlocs(set())
    assert not rules.allows("https://www.shop.example/")
    rules.add_netloc("www.shop.example")
    assert rules.allows("https://www.shop.example/")


def test_memory_for_hosts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "_MOST_DECISIONS", 10)
    rules = Scope.of_domains(["*"])
    assert rules.everything
    assert all(rules.allows(f"https://a{number}.example/") for number in range(100))
    assert len(rules._decisions) <= 10


# Credentials


@pytest.mark.parametrize(
    ("visited", "url", "allowed"),
    [
        ("https://shop.example/login", "https://shop.example/a?b", True),
        ("https://shop.example/login", "https://user:pw@shop.example/a", True),
        ("https://shop.example/login", "https://www.shop.example/", False),
        ("https://shop.example/login", "https://shop.example:8443/", False),
        ("https://shop.example/login", "http://shop.example/", False),
        ("https://shop.example/login", "https://evil.example/", False),
        ("http://shop.example/login", "http://shop.example/", True),
        ("http://shop.example/login", "https://shop.example/", False),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/a", True),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8001/a", False),
        ("https://[::1]:8000/", "https://[::1]/", False),
    ],
)
def test_a_login_shares_its_credentials_with_what_it_has_visited(
    visited: str, url: str, allowed: bool
) -> None:
    origins = CredentialOrigins()
    origins.visit(visited)
    assert origins.allow(url) is allowed


@pytest.mark.parametrize(
    ("seed", "allowed"),
    [
        ("https://api.shop.example", True),
        ("https://shop.example:8443", True),
        ("http://shop.example", False),
        ("https://other.example", False),
    ],
)
def test_a_seed_counts_at_the_sites_of_the_login(seed: str, allowed: bool) -> None:
    origins = CredentialOrigins()
    origins.visit("https://shop.example/login")
    origins.name(seed)
    assert origins.allow(f"{seed}/a") is allowed
    origins.forget(seed)
    assert not origins.allow(f"{seed}/a")


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("http://shop.example/", "https://www.shop.example/", True),
        ("https://shop.example/", "https://www.shop.example/", True),
        ("https://shop.example/", "http://www.shop.example/", False),
        ("https://shop.example/", "https://shop.example:8443/", False),
        ("https://shop.example:8443/", "https://in.shop.example:8443/", True),
        ("https://shop.example/", "https://evil.example/", False),
    ],
)
def test_redirects_and_links_count_within_their_site(
    source: str, target: str, allowed: bool
) -> None:
    origins = CredentialOrigins()
    origins.visit(source)
    origins.follow(source, target)
    assert origins.allow(target) is allowed


def test_http_is_left_as_soon_as_the_login_has_come_to_https() -> None:
    origins = CredentialOrigins()
    origins.visit("http://shop.example/login")
    assert origins.allow("http://shop.example/")
    origins.follow("http://shop.example/login", "https://shop.example/login")
    assert not origins.allow("http://shop.example/")
    assert origins.allow("https://shop.example/")


def test_without_a_login_the_seeds_count_and_https() -> None:
    origins = CredentialOrigins()
    origins.name("http://127.0.0.1:8000")
    assert origins.allow("http://127.0.0.1:8000/")
    assert not origins.allow("http://127.0.0.1:8001/")
    assert not origins.allow("http://shop.example/")
    assert origins.allow("https://shop.example/")
    assert not origins.allow("https://shop.example:8443/")


def test_origins_survive_a_restart_and_so_do_the_sites_of_older_jobs() -> None:
    origins = CredentialOrigins()
    origins.visit("https://a.example/login")
    later = CredentialOrigins()
    later.restore(origins.visited)
    assert later.allow("https://a.example/")
    assert not later.allow("https://b.example/")
    later.restore(["b.example"])
    assert later.allow("https://b.example/")
    assert not later.allow("https://a.example/")


# What is denied


@pytest.mark.parametrize(
    ("pattern", "url", "denied"),
    [
        ("/thisday/{date}", "https://a.example/thisday/2026-11-28", True),
        ("/thisday/{date}", "https://a.example/thisday/20261128?view=all", True),
        ("/thisday/{date}", "https://a.example/thisday/2026-11-28/notes", False),
        ("/thisday/{date}", "https://a.example/x/thisday/2026-11-28", False),
        ("/thisday/{date}", "https://a.example/thisday/today", False),
        ("/p/{n}", "https://a.example/p/17;jsessionid=0a", True),
        ("/p/{n}", "https://a.example/p/17a", False),
        ("/{x}/{n}/", "https://a.example/blog/17/", True),
        ("/{x}/{n}/", "https://a.example/blog/17", False),
        ("?do=diff&rev={n}", "https://a.example/doku.php?id=start&rev=1700&do=diff", True),
        ("?do=diff&rev={n}", "https://a.example/start?do=diff;rev=1700", True),
        ("?do=diff&rev={n}", "https://a.example/start?do=diff", False),
        ("?do=edit", "https://a.example/start?redo=edit", False),
        ("?do=edit", "https://a.example/start?do=editor", False),
        ("?do=edit", "https://a.example/start?do=edit", True),
        ("/wiki/{x}?action={x}", "https://a.example/wiki/Main?action=history", True),
        ("/wiki/{x}?action={x}", "https://a.example/wiki/Main", False),
        ("a.example/p/{n}", "https://a.example/p/1", True),
        ("https://a.example/p/{n}", "https://a.example/p/1", True),
        ("a.example/p/{n}", "https://b.example/p/1", False),
        ("/start?do=edit", "https://a.example/start?do=edit", True),
        ("/start?do=edit", "https://a.example/stardo=edit", False),
        ("/s?sid={token}", "https://a.example/s?sid=0a1b2c", True),
        (r"/p/\d{1,3}$", "https://a.example/p/123", True),
        (r"/p/\d{1,3}$", "https://a.example/p/1234", False),
        ("(?i)/PRINT", "https://a.example/a/print", True),
        ("/calendar/", "https://a.example/calendar/2026", True),
    ],
)
def test_regular_expressions_and_shapes_are_denied(pattern: str, url: str, *, denied: bool) -> None:
    deny = DenyList(["/never-there", pattern])
    assert deny.denies(url) is denied
    assert not denied or deny.reason(url) == pattern


@pytest.mark.parametrize("pattern", ["/a(", "*", "[a"])
def test_a_pattern_that_is_none_is_named(pattern: str) -> None:
    with pytest.raises(SettingsError, match="neither a regular expression"):
        DenyList([pattern])


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/thisday/2026-11-28",
        "https://a.example/2026/11/28/",
        "https://a.example/doku.php?id=start&do=diff&rev=1700000000",
        "https://a.example/timeline?y=1999-12-01&unhide",
        "https://a.example/items?sort=price&dir=asc&page=3",
        "https://a.example/f/0a1b2c3d-1111-2222-3333-444455556666?sid=0a",
        "https://a.example/b;v=1/c?a=1;b=x+y",
        "https://a.example/a,b/(1)/c.html?x[]=1&y=%C3%A4",
    ],
)
def test_the_shape_of_a_url_denies_it(url: str) -> None:
    assert DenyList([shape_of(url)]).denies(url)
