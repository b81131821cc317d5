"""Which links a logged-in job leaves alone."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import Request, Spider, urls
from crawler.cli.report import skipped_text, summary_text
from crawler.errors import FetchError, SpiderError
from crawler.job.lookup import job_status, skipped_links
from crawler.worker.unsafe.links import UnsafeLinkFilter
from tests.commands import Command
from tests.jobs import failures, items, run_job, values
from tests.sites import Reply, Site, links, redirect

HOME = "https://x.example"

LOGS_OUT = """
/logout /logout/ /Logout /log-out /LOG_OUT /Log%20Out /signout /sign_out /sign-off /logoff
/users/sign_out /accounts/logout/ /account/logout/all /logout.php /logout.aspx?x=1 /Logout.action
/user-logout /customer/account/logoutUser /customer_logout /logout;jsessionid=12
/wp-login.php?action=logout&_wpnonce=4f /index.php?route=account/logout /?q=user/logout
/index.php?title=Special:UserLogout /wiki/Special:UserLogout
/index.php?option=com_users&task=user.logout
/index.php?r=/site/logout /?logout /?logout=1 /forum/ucp.php?mode=logout&sid=9
/member.php?action=logout
/abmelden /konto/ausloggen /d%C3%A9connexion /deconnexion.html /se-deconnecter /cerrar-sesion
/cerrar_sesi%C3%B3n /es/salir /pt/sair /uitloggen /afmelden /wyloguj-si%C4%99
/log-ud /kirjaudu-ulos
/%D0%B2%D1%8B%D0%B9%D1%82%D0%B8 /%E3%83%AD%E3%82%B0%E3%82%A2%E3%82%A6%E3%83%88
"""

DESTRUCTIVE = """
/delete /posts/12/delete /posts/12/delete/ /delete/12 /posts/delete/my-first-post /delete.php?id=4
/Delete/12 /admin/shop/order/7/delete/ /cart/remove/9 /cart/remove_item /deleteItem.do?id=3
/account/delete-account /subscriptions/cancel /orders/4/cancel /tokens/3/revoke /unsubscribe
/newsletter/unsubscribe?u=9 /users/5/deactivate /sessions/destroy /konto/l%C3%B6schen
/commande/12/annuler /mensajes/eliminar/8 /verwijderen/3
/cart?remove_item=ab12 /cart?delete=12 /posts/12?action=delete /list?do=remove&id=7
/index.php?task=cart.remove /?route=comment/delete /wp-admin/post.php?post=1&action=trash
/orders/8?cmd=Cancel /comments?action=deletecomment&c=5
/cart?action=clear /orders?cancel_order=true
"""

HARMLESS = """
/ /orders /articles/how-to-delete-files /articles/how-to-logout /blog/deleting-things
/remove-filter /removed /deleted /items?status=deleted /orders?status=cancel /search?q=delete
/cancellation-policy /undelete/4 /blogout /catalogue /cancelled-orders /wiki/Deleted_scene
/login?next=/logout /login?next=%2Fdelete%2F4 /edit?cancel=/orders /p?return=https://x/logout
/a?logout=0 /a?delete=false /salir/madrid /dialogue /trash
/clear /drop /reset /logout-how-it-works
/login /signin /files/delete.txt /#logout /?a=b&c /sales/outlet
"""


def objection(path: str, **options: Any) -> str:
    url = urls.normalise(HOME + path)
    assert url is not None
    found = UnsafeLinkFilter(**options).objection(url)
    return "" if found is None else found.effect


@pytest.mark.parametrize("path", LOGS_OUT.split())
def test_links_that_log_out(path: str) -> None:
    assert objection(path) == "logs out"
    assert objection(path, follow_logout=True) == ""


@pytest.mark.parametrize("path", DESTRUCTIVE.split())
def test_links_that_look_destructive(path: str) -> None:
    assert objection(path) == "destructive"
    assert objection(path, follow_destructive=True) == ""


@pytest.mark.parametrize("path", HARMLESS.split())
def test_harmless_links(path: str) -> None:
    assert objection(path) == ""


def test_a_link_may_be_both() -> None:
    assert objection("/logout?action=delete") == "logs out"
    assert objection("/logout?action=delete", follow_logout=True) == "destructive"


def test_a_silent_host() -> None:
    assert UnsafeLinkFilter().objection("https://logout.example/") is None
    assert UnsafeLinkFilter().objection("https://delete.example") is None


@given(st.text())
def test_no_url_is_too_strange(text: str) -> None:
    for url in (HOME + "/" + text, HOME + "/?" + text, text):
        found = UnsafeLinkFilter(["x"]).objection(url)
        assert found is None or found.effect in {"logs out", "destructive"}


# What the spider adds


def test_text_of_the_spider_stands_anywhere_in_the_url() -> None:
    own = ["/member.php?do=bye", "//exit."]
    assert objection("/member.php?do=bye&s=1", logout_urls=own) == "logs out"
    assert objection("/memberXphp?do=bye", logout_urls=own) == ""
    assert UnsafeLinkFilter(own).objection("https://exit.example/") == ("logs out", "//exit\\.")
    assert objection("/member.php?do=bye", logout_urls=own, follow_logout=True) == ""


def test_expressions_of_the_spider_are_searched_for() -> None:
    own = [re.compile(r"/exit\d+$")]
    assert objection("/a/exit12", logout_urls=own) == "logs out"
    assert objection("/a/exit12b", logout_urls=own) == ""


def test_a_single_pattern_need_not_be_a_list() -> None:
    assert objection("/bye", logout_urls="/bye") == "logs out"
    assert objection("/b", logout_urls="/bye") == ""


@pytest.mark.parametrize("wrong", ["", 3, re.compile(b"x"), None])
def test_objects_that_are_no_pattern_are_an_error(wrong: Any) -> None:
    with pytest.raises(SpiderError, match=r"logout_urls holds .*re\.compile"):
        UnsafeLinkFilter([wrong])
    with pytest.raises(SpiderError, match=r"safe_urls holds .*re\.compile"):
        UnsafeLinkFilter(safe_urls=[wrong])


def test_safe_urls_of_the_spider_are_followed() -> None:
    own = ["?do=edit&id=", re.compile(r"/posts/\d+/publish$")]
    assert objection("/a?do=edit&id=5", safe_urls=own) == ""
    assert objection("/a?do=revert&id=5", safe_urls=own) == "destructive"
    assert objection("/posts/5/publish", safe_urls=own) == ""
    assert objection("/posts/5/delete", safe_urls=own) == "destructive"
    assert objection("/logout", safe_urls=["/logout"], logout_urls=["/logout"]) == ""


# Redirects


def check(method: str, start: str, after: str, end: str) -> str:
    try:
        UnsafeLinkFilter().check_redirect(
            Request(HOME + start, method=method), Request(HOME + end, method=after)
        )
    except FetchError as error:
        return error.cause
    return ""


def test_redirects() -> None:
    assert check("GET", "/a", "GET", "/b") == ""
    assert check("GET", "/a", "GET", "/logout") == "logs out"
    assert check("POST", "/a", "GET", "/logout") == "logs out"
    assert check("GET", "/a", "GET", "/delete/1") == "destructive"


def test_redirects_to_a_token() -> None:
    assert check("GET", "/a", "GET", "/start?token=abc") == ""
    assert check("GET", "/a", "GET", "/start?do=revert&token=abc") == "destructive"


def test_redirects_of_what_was_meant() -> None:
    assert check("GET", "/logout", "GET", "/logout/") == ""
    assert check("GET", "/delete/1", "GET", "/delete/1/") == ""
    assert check("GET", "/delete/1", "GET", "/logout") == "logs out"
    assert check("POST", "/items", "GET", "/items?action=delete&done=1") == ""
    assert check("POST", "/delete/1", "POST", "/logout") == ""


# In a job


class Member(Spider):
    """Logged in by a header, so that no page of a login is in the way."""

    name = "member"
    logout_urls = ["/bye"]

    def login(self, session: Any) -> None:
        session.headers["X-Member"] = "yes"

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()

    def failed(self, failure: Any) -> Iterator[Any]:
        yield {"url": failure.request.url, "cause": failure.cause}


class Visitor(Spider):
    name = "visitor"

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all()


UNSAFE = ("/logout", "/bye", "/items/1/delete")


def a_shop(site: Site) -> None:
    site.pages["/"] = links("/1", "/2", *UNSAFE)
    site.pages["/1"] = site.pages["/2"] = links("/", *UNSAFE, "/articles/how-to-delete-files")
    for path in (*UNSAFE, "/articles/how-to-delete-files"):
        site.pages[path] = "x"


def paths(site: Site) -> set[str]:
    return set(site.asked)


def test_a_logged_in_job_leaves_them_alone_and_says_so(tmp_path: Path, site: Site) -> None:
    a_shop(site)
    summary = run_job(Member, tmp_path, site.url + "/")
    assert paths(site) == {"/", "/1", "/2", "/articles/how-to-delete-files"}
    assert summary.counters.skipped_unsafe == 3
    shapes = "1 /bye, 1 /items/{n}/delete, 1 /logout"
    assert f"skipped    3 unsafe links: {shapes}\n" in summary_text(summary)
    assert job_status(tmp_path)["skipped_unsafe"] == 3
    assert summary.counters.pending == summary.counters.failed == 0
    log = (tmp_path / "run.log").read_text()
    for path in UNSAFE:
        assert log.count(f"not followed: {site.url}{path},") == 1
    assert "follow_logout=true" in log
    assert "follow_destructive=true" in log


def test_without_a_login_everything_is_followed(tmp_path: Path, site: Site) -> None:
    a_shop(site)
    summary = run_job(Visitor, tmp_path, site.url + "/")
    assert paths(site) >= set(UNSAFE)
    assert summary.counters.skipped_unsafe == 0


def test_settings_allow_them(tmp_path: Path, site: Site) -> None:
    a_shop(site)
    run_job(Member, tmp_path / "a", site.url + "/", follow_destructive=True)
    assert paths(site) & set(UNSAFE) == {"/items/1/delete"}
    run_job(Member, tmp_path / "b", site.url + "/", follow_logout=True)
    assert paths(site) >= set(UNSAFE)


def test_seeds_and_what_is_called_safe_are_the_users_word(tmp_path: Path, site: Site) -> None:
    class Meant(Member):
        start_urls = [site.url + "/delete/1", site.url + "/"]

        def parse(self, response: Any) -> Iterator[Any]:
            yield {"url": response.url}
            if response.url.endswith("/"):
                yield Request(site.url + "/delete/2")
                yield Request(site.url + "/delete/3", safe=True)
                yield response.follow("/logout", safe=True)
                yield Request(site.url + "/delete/4", method="POST")
                yield Request(site.url + "/delete/5", method="DELETE")

    site.otherwise = lambda visit: "x"
    run_job(Meant, tmp_path)
    expected = {"/", "/logout", *(f"/delete/{n}" for n in (1, 3, 4, 5))}
    assert paths(site) == expected
    assert values(items(tmp_path)) == sorted(site.url + path for path in expected)


def test_redirects_to_them_fail_with_their_cause(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = links("/old", "/session", "/fine", "/away")
    site.pages["/old"] = redirect("/items/1/delete")
    site.pages["/session"] = redirect("/logout?reason=timeout")
    site.pages["/away"] = redirect("/hop")
    site.pages["/hop"] = redirect("/bye")
    site.pages["/fine"] = redirect("/good")
    site.pages["/good"] = "x"
    site.otherwise = lambda visit: Reply("deadly")
    run_job(Member, tmp_path, site.url + "/")
    assert paths(site) == {"/", "/old", "/session", "/away", "/hop", "/fine", "/good"}
    assert failures(tmp_path) == {
        "/old": "destructive",
        "/session": "logs out",
        "/hop": "logs out",
    }
    told = {item["url"]: item.get("cause") for item in items(tmp_path)}
    assert told[site.url + "/old"] == "destructive"


def test_links_that_failed_yields_are_counted_too(tmp_path: Path, site: Site) -> None:
    class Hopeless(Member):
        def failed(self, failure: Any) -> Iterator[Any]:
            yield Request(site.url + "/delete/1")

        def parse(self, response: Any) -> Iterator[Any]:
            yield Request(site.url + "/delete/2")
            raise ValueError

    site.pages["/"] = "x"
    summary = run_job(Hopeless, tmp_path, site.url + "/")
    assert summary.counters.skipped_unsafe == 2
    assert paths(site) == {"/"}


def test_a_wrong_pattern_is_an_error_before_the_first_request(tmp_path: Path, site: Site) -> None:
    class Wrong(Member):
        logout_urls = [5]  # type: ignore[list-item]

    with pytest.raises(SpiderError, match="logout_urls holds 5"):
        run_job(Wrong, tmp_path, site.url + "/")
    assert site.log == []


# What was skipped, as it is listed


def a_wiki(site: Site, pages: int) -> None:
    """A wiki whose pages have a link to revert them, with a token that each page has anew."""
    site.pages["/"] = links(*(f"/wiki/p{n}" for n in range(pages)))
    for n in range(pages):
        reverts = [f"/wiki/p{m}?do=revert&rev={m}&sectok=s{n}" for m in (n, (n + 1) % pages)]
        site.pages[f"/wiki/p{n}"] = links(*reverts, "/logout", "/wiki/Delete")
    site.pages["/wiki/Delete"] = "x"


def test_links_are_listed_by_their_shape(tmp_path: Path, site: Site) -> None:
    a_wiki(site, 12)
    summary = run_job(Member, tmp_path, site.url + "/", workers=2, concurrency=4)
    assert "/wiki/Delete" in paths(site)
    assert not any("revert" in path for path in paths(site))
    assert summary.counters.skipped_unsafe == 13
    shape = "/wiki/{x}?do=revert&rev={n}&sectok={token}"
    assert f"  skipped    13 unsafe links: 12 {shape}, 1 /logout\n" in summary_text(summary)
    assert [(row.shape, row.links, row.sign) for row in skipped_links(tmp_path)] == [
        (shape, 12, "sectok"),
        ("/logout", 1, "logout"),
    ]
    assert all("&sectok=***" in row.example for row in skipped_links(tmp_path)[:1])
    text = skipped_text(skipped_links(tmp_path))
    assert f"12 {shape}\n  seems to change something, by 'sectok'\n" in text
    assert "safe_urls" in text
    log = (tmp_path / "run.log").read_text()
    assert "sectok=s" not in log
    assert 1 <= log.count(f"further ones like {shape} are only counted") <= 2  # by each worker


def test_nothing_skipped_is_said_too() -> None:
    assert "every link was followed" in skipped_text([])


def test_they_are_counted_exactly_by_several_runs(tmp_path: Path, site: Site) -> None:
    a_wiki(site, 20)
    for most in (3, 8, 11, None):
        summary = run_job(Member, tmp_path, site.url + "/", max_pages=most)
    assert summary.counters.skipped_unsafe == 21
    assert sum(row.links for row in skipped_links(tmp_path)) == 21


def test_safe_urls_follow_them(tmp_path: Path, site: Site) -> None:
    class Wiki(Member):
        safe_urls = [re.compile(r"\?do=revert&rev=[0-3]&")]

    a_wiki(site, 6)
    site.otherwise = lambda visit: "x"
    run_job(Wiki, tmp_path, site.url + "/")
    reverted = {path.partition("&")[0] for path in paths(site) if "revert" in path}
    assert reverted == {f"/wiki/p{n}?do=revert" for n in range(4)}


def test_they_are_counted_exactly_through_kills(tmp_path: Path, site: Site) -> None:
    a_wiki(site, 20)
    form = '<form method="post" action="/session"><input type="password" name="password"></form>'
    site.pages["/login"] = form
    site.pages["/session"] = "welcome"
    folder = tmp_path / "job"

    def command(kill: str = "") -> Command:
        arguments = {"origin": site.url}
        options: dict[str, Any] = {"delay": 0.001, "commit_interval": 0, "arguments": arguments}
        return Command("Member", folder, site.url + "/", kill=kill, **options)

    for point in ("commit.stored:1", "commit.stored:4", "commit.committed:5", "items.half:3"):
        victim = command(point)
        assert victim.wait() == -signal.SIGKILL, f"{point} was never reached: {victim.said}"
    last = command()
    assert last.wait() == 0, last.said
    assert job_status(folder)["skipped_unsafe"] == 21
    assert [row.links for row in skipped_links(folder)] == [20, 1]
    assert "skipped    21 unsafe links: 20 /wiki/{x}?do=revert" in last.said
