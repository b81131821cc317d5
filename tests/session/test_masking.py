"""The mask: stars in place of secrets, in any spelling."""

from __future__ import annotations

import html
import io
import logging
import pickle

import pytest

from crawler import Account
from crawler.session import credentials
from crawler.session.masking import MASK, Mask
from tests.secret import PASSWORD, SPELLINGS


def test_every_spelling_of_a_secret_is_masked() -> None:
    mask = Mask()
    assert mask(PASSWORD) == PASSWORD
    mask.add(PASSWORD)
    for spelling in SPELLINGS:
        assert mask(f"<{spelling}>") == f"<{MASK}>"
    mask.add(PASSWORD + "!!")
    assert mask(f"<{PASSWORD}!!>") == f"<{MASK}>"


def test_secrets_that_are_in_half_of_all_words_are_not_masked() -> None:
    mask = Mask()
    mask.add("")
    mask.add("ab")
    assert mask("about") == "about"


def test_secrets_of_accounts_are_masked_as_soon_as_they_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALICE_PASSWORD", PASSWORD)
    account = Account(name="alice", password={"env": "ALICE_PASSWORD"}, fields={"pin": "123"})
    mask = Mask(account.secrets)
    there = pickle.loads(pickle.dumps(mask))
    assert mask(PASSWORD) == there(PASSWORD) == MASK
    assert mask("pin 123") == "pin 123"  # plain data


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_page_in_any_encoding(encoding: str) -> None:
    mask = Mask()
    mask.add(PASSWORD)
    body = f"<p>{PASSWORD} {html.escape(PASSWORD)}</p>".encode(encoding)
    assert mask.page(body).decode(encoding) == f"<p>{MASK} {MASK}</p>"


def test_the_log_and_later_handlers_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    mask = Mask()
    mask.add(PASSWORD)
    log = logging.getLogger("tests.secrets")
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(mask)
    log.addHandler(handler)
    try:
        raise ValueError(PASSWORD)
    except ValueError:
        log.exception("it was %s", PASSWORD, stack_info=True)
    finally:
        log.removeHandler(handler)
    assert f"it was {MASK}" in caplog.text
    assert f"ValueError: {MASK}" in caplog.text
    assert PASSWORD not in caplog.text


def test_variables_that_are_called_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE_PASSWORD", PASSWORD)
    monkeypatch.setenv("OTHER_API_KEY", "hunter2")
    monkeypatch.setenv("A_TOKEN", "true")
    monkeypatch.setenv("PWD", "/srv/crawls")
    mask = Mask(credentials.in_environment())
    assert mask(f"{PASSWORD} hunter2 true") == f"{MASK} {MASK} true"
    assert mask("/srv/crawls/spider.py") == "/srv/crawls/spider.py"
