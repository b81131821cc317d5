"""Scope: which URLs a job may ask for."""

from __future__ import annotations

import pytest

from crawler import scope
from crawler.errors import SpiderError
from crawler.scope import Scope


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
        ("", "no domain"),
        ("a b", "no domain"),
        ("user@shop.example", "no domain"),
        ("shop.example:http", "no domain"),
        ("shop.example:99999", "no domain"),
        (None, "not None"),
    ],
)
def test_what_is_no_domain_is_refused_in_one_sentence(pattern: str, hint: str) -> None:
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
