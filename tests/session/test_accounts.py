"""Accounts: the format of their file, and the sources of passwords."""

from __future__ import annotations

import getpass
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawler import Spider
from crawler.errors import AccountError, UsageError
from crawler.session import accounts
from crawler.session.accounts import Account, check_login

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE_PASSWORD", PASSWORD)


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def one(folder: Path, text: str, mode: int = 0o600) -> Account:
    (account,) = accounts.load(write(folder, text, mode))
    return account


# The file


def test_a_whole_account(tmp_path: Path) -> None:
    account = one(
        tmp_path,
        """
        [alice]
        user = "alice@example.com"
        password = { env = "ALICE_PASSWORD" }
        delay = 2.0
        max_pages = 500
        per = "hour"
        cooldown = 600
        tenant = "north"
        pin = { env = "ALICE_PASSWORD" }
        """,
        mode=0o644,  # it says where the password is, and not what it is
    )
    assert (account.name, account.user) == ("alice", "alice@example.com")
    assert account.password == PASSWORD
    assert (account.delay, account.max_pages, account.cooldown) == (2.0, 500, 600)
    assert (account.per, account.window) == ("hour", 3600)
    assert account.fields == {"tenant": "north", "pin": PASSWORD}


def test_accounts_keep_the_order_of_their_file(tmp_path: Path) -> None:
    found = accounts.load(write(tmp_path, "[zoe]\n[bob]\n[alice]\n"))
    assert [account.name for account in found] == ["zoe", "bob", "alice"]
    bob = found[1]
    assert (bob.user, bob.delay, bob.max_pages, bob.window, bob.cooldown) == (
        "",
        None,
        None,
        86400,
        0,
    )


def test_a_password_that_nobody_named(tmp_path: Path) -> None:
    with pytest.raises(AccountError, match="account bob has no password"):
        _ = one(tmp_path, "[bob]").password


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no account"),
        ("alice = 1", "alice must be a table"),
        ("[alice]\npasswrod = 1", "'passwrod': did you mean password"),
        ("[alice]\nusername = 'a'", "'username': did you mean user"),
        ("[alice]\nmax_page = 1", "'max_page': did you mean max_pages"),
        ("[alice]\nuser = 3", "user must be text, not 3"),
        ("[alice]\npassword = 3", "must be text that is not empty"),
        ("[alice]\npassword = ''", "must be text that is not empty"),
        ("[alice]\npassword = {}", "must be a table of one of env"),
        ("[alice]\npassword = {evn = 'X'}", "did you mean env"),
        ("[alice]\npassword = {env = 3}", "env must name something"),
        ("[alice]\npassword = {prompt = false}", "prompt = true"),
        ("[alice]\npassword = {env = 'NO_SUCH'}", "set the environment variable NO_SUCH"),
        ("[alice]\npassword = {file = 'no.secret'}", "cannot be read from .*no.secret"),
        ("[alice]\ntoken = {env = 'NO_SUCH'}", "token of account alice .* NO_SUCH"),
        ("[alice]\ndelay = -1", "delay must be a number of seconds, at least 0"),
        ("[alice]\ndelay = nan", "delay must be"),
        ("[alice]\ndelay = 'x'", "delay must be"),
        ("[alice]\nmax_pages = 0", "max_pages must be a whole number, at least 1"),
        ("[alice]\nmax_pages = true", "max_pages must be"),
        ("[alice]\nmax_pages = 1.5", "max_pages must be"),
        ("[alice]\ncooldown = 'long'", "cooldown must be"),
        ("[alice]\nper = 'week'", 'per must be "day" or "hour"'),
        ("[' ']", "name must be one line of text"),
        ("[alice", "not valid TOML"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(AccountError, match=says) as caught:
        accounts.load(write(tmp_path, text))
    assert "accounts.toml" in str(caught.value)
    assert "\n" not in str(caught.value) or says == "not valid TOML"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the accounts file .*: No such file"):
        accounts.load(tmp_path / "accounts.toml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "accounts.toml").write_bytes(b"\xff")
    with pytest.raises(AccountError, match="UTF-8"):
        accounts.load(tmp_path / "accounts.toml")


def test_a_plain_password_needs_a_private_file(tmp_path: Path) -> None:
    text = f"[alice]\npassword = '{PASSWORD}'"
    assert one(tmp_path, text).password == PASSWORD
    with pytest.raises(AccountError, match="others can read it: chmod 600") as caught:
        accounts.load(write(tmp_path, text, 0o640))
    assert PASSWORD not in str(caught.value)


# Where passwords are


def test_a_password_in_a_file_beside_the_accounts(tmp_path: Path) -> None:
    secret = tmp_path / "alice.secret"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    text = "[alice]\npassword = { file = 'alice.secret' }"
    assert one(tmp_path, text).password == PASSWORD
    secret.chmod(0o604)
    with pytest.raises(AccountError, match=r"others can read it: chmod 600 .*alice\.secret"):
        accounts.load(write(tmp_path, text))
    secret.chmod(0o600)
    secret.write_text("\n")
    with pytest.raises(AccountError, match="the password of account alice is empty"):
        accounts.load(write(tmp_path, text))


@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root gives files away")
def test_a_password_in_a_file_of_another_user(tmp_path: Path) -> None:
    secret = tmp_path / "alice.secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    os.chown(secret, 65534, -1)
    with pytest.raises(AccountError, match=r"is a file of another user: chown 0 .*alice\.secret"):
        accounts.load(write(tmp_path, "[alice]\npassword = { file = 'alice.secret' }"))


def test_a_password_in_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {("shop.example", "alice@example.com"): PASSWORD}
    fake = SimpleNamespace(get_password=lambda *key: kept.get(key))
    errors = SimpleNamespace(KeyringError=OSError)
    fake.errors = errors
    monkeypatch.setitem(sys.modules, "keyring", fake)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    text = "[alice]\nuser = 'alice@example.com'\npassword = { keyring = 'shop.example' }"
    assert one(tmp_path, text).password == PASSWORD
    kept.clear()
    with pytest.raises(AccountError, match=r"keyring set shop\.example alice@example\.com"):
        _ = one(tmp_path, text).password

    def locked(*key: str) -> str:
        raise OSError("it is locked")

    fake.get_password = locked
    with pytest.raises(AccountError, match="cannot be read: it is locked"):
        _ = one(tmp_path, text).password


def test_no_keyring_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    account = one(tmp_path, "[alice]\npassword = { keyring = 'shop.example' }")
    with pytest.raises(AccountError, match=r"account alice .*: pip install keyring$"):
        _ = account.password


def test_a_password_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return PASSWORD

    monkeypatch.setattr(getpass, "getpass", answer)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    account = one(tmp_path, "[alice]\npassword = { prompt = true }")
    assert asked == []
    account.ask()
    there = pickle.loads(pickle.dumps(account))
    assert account.password == there.password == PASSWORD
    assert asked == ["The password of account alice: "]


def test_a_prompt_without_a_terminal_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    account = one(tmp_path, "[alice]\npassword = { prompt = true }")
    with pytest.raises(AccountError, match="must be typed at a terminal, but there is none"):
        account.ask()
    with pytest.raises(AccountError, match="not asked for before the workers started"):
        _ = pickle.loads(pickle.dumps(account)).password


# Nothing shows it


def test_neither_repr_nor_a_pickle_shows_a_password(tmp_path: Path) -> None:
    account = one(tmp_path, "[alice]\npassword = { env = 'ALICE_PASSWORD' }\ntenant = 'north'")
    assert account.password == PASSWORD
    assert PASSWORD not in repr(account) + repr(account.secrets)
    assert "ALICE_PASSWORD" in repr(account.secrets)
    data = pickle.dumps(account)
    assert PASSWORD.encode() not in data
    again = pickle.loads(data)
    assert again == account
    assert hash(again) == hash(account)
    assert again.password == PASSWORD
    assert again.fields == {"tenant": "north"}


# Named on the spider


def spider_with(found: Any) -> type[Spider]:
    return type("Orders", (Spider,), {"accounts": found})


def test_a_spider_without_accounts() -> None:
    assert accounts.of_spider(Spider) == []


def test_a_name_stands_for_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOB_EXAMPLE_COM_PASSWORD", "bob's")
    monkeypatch.setenv("ALICE_USER", "alice@example.com")
    alice, bob = accounts.of_spider(spider_with(["alice", "bob@example.com"]))
    assert (alice.user, alice.password) == ("alice@example.com", PASSWORD)
    assert (bob.user, bob.password) == ("bob@example.com", "bob's")


def test_dicts_and_accounts_on_a_spider() -> None:
    named = [
        {"name": "alice", "password": {"env": "ALICE_PASSWORD"}, "tenant": "north"},
        Account(name="bob", password="plain", max_pages=3, per="hour"),
    ]
    alice, bob = accounts.of_spider(spider_with(named)())
    assert (alice.password, alice.fields) == (PASSWORD, {"tenant": "north"})
    assert (bob.password, bob.max_pages, bob.window) == ("plain", 3, 3600)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (3, "must be a list"),
        ([3], "not int"),
        ([{"user": "alice"}], "a dict with its name"),
        (["carol"], "environment variable CAROL_PASSWORD"),
        (["alice", "alice"], "named twice"),
        ([Account(name="dan", password={"env": "NO_SUCH"})], "NO_SUCH"),
        ([{"name": "", "user": "a"}], "name must be"),
    ],
)
def test_a_mistake_on_a_spider(named: Any, says: str) -> None:
    with pytest.raises(AccountError, match=says):
        accounts.of_spider(spider_with(named))


@pytest.mark.parametrize(
    "login",
    [
        lambda self, session: None,
        lambda self, session, account=None: None,
        lambda self, session, *accounts: None,
        lambda self, session, *, account=None: None,
    ],
)
def test_a_login_that_needs_no_account(login: Any) -> None:
    check_login(type("Members", (Spider,), {"login": login}), [])


def test_a_login_that_wants_an_account() -> None:
    members = type("Members", (Spider,), {"login": lambda self, session, account: None})
    check_login(members, [Account(name="ann")])
    with pytest.raises(AccountError, match=r"^Members\.login wants an account: give --accounts"):
        check_login(members, [])
    check_login(Spider, [])
