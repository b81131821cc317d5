"""Sessions that are stored encrypted, and keys that are missing or wrong."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from crawler.errors import JobError, SettingsError
from crawler.records import Cookie, LoginState, SessionRecord
from crawler.session import credentials
from crawler.store.encryption import Cipher
from crawler.store.sqlite.store import SQLiteStore
from tests.jobs import rows

KEY = "a key that nobody knows"
COOKIE = "f00dcafe-the-session"
TOKEN = "Bearer deadbeef"
SESSION = SessionRecord(
    "shop.example:alice",
    [Cookie("sid", COOKIE, "shop.example", "/")],
    LoginState(1.0, {"Authorization": TOKEN}, {"csrf": "c0ffee"}),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.db"


def store(path: Path, key: str | None = None, *, read_only: bool = False) -> SQLiteStore:
    return SQLiteStore(path, key=key, read_only=read_only)


def keep(path: Path, key: str | None = None) -> None:
    with closing(store(path, key)) as opened, opened.transaction():
        opened.sessions.save(SESSION)


def kept(path: Path, key: str | None = None) -> SessionRecord:
    with closing(store(path, key)) as opened:
        (session,) = opened.sessions.all()
        assert opened.sessions.get(session.key) == session
        return session


def files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def shows(path: Path) -> list[str]:
    return [text for text in (COOKIE, TOKEN, "c0ffee") if text.encode() in files(path)]


# The cipher


def test_data_is_decrypted_as_it_was() -> None:
    cipher = Cipher(KEY)
    data = cipher.encrypt(b"sid=1")
    assert b"sid" not in data
    assert Cipher(KEY, cipher.header).decrypt(data) == b"sid=1"


def test_equal_data_is_encrypted_differently_each_time() -> None:
    cipher = Cipher(KEY)
    assert cipher.encrypt(b"sid=1") != cipher.encrypt(b"sid=1")
    assert Cipher(KEY).header["salt"] != cipher.header["salt"]


def test_the_key_is_not_stored() -> None:
    assert KEY not in str(Cipher(KEY).header)


@pytest.mark.parametrize("wrong", ["", "A key that nobody knows", KEY + " "])
def test_a_wrong_key(wrong: str) -> None:
    with pytest.raises(JobError, match="CRAWL_KEY is not the key"):
        Cipher(wrong, Cipher(KEY).header)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(JobError, match=r"CRAWL_KEY is set, .*: pip install cryptography$"):
        Cipher(KEY)


# The store


def test_a_store_with_a_key(path: Path) -> None:
    keep(path, KEY)
    assert shows(path) == []
    assert kept(path, KEY) == SESSION
    assert KEY.encode() not in files(path)


def test_a_store_without_a_key(path: Path) -> None:
    keep(path)
    assert shows(path) == [COOKIE, TOKEN, "c0ffee"]
    assert kept(path) == SESSION


def test_a_key_that_is_missing(path: Path) -> None:
    keep(path, KEY)
    with pytest.raises(JobError, match=r"job\.db has encrypted sessions: set CRAWL_KEY"):
        store(path)
    assert kept(path, KEY) == SESSION


def test_a_key_that_does_not_fit(path: Path) -> None:
    keep(path, KEY)
    with pytest.raises(JobError, match="CRAWL_KEY is not the key"):
        store(path, "another")
    assert kept(path, KEY) == SESSION


def test_a_reader_needs_the_key_only_for_sessions(path: Path) -> None:
    keep(path, KEY)
    with closing(store(path, read_only=True)) as reader:
        assert reader.failures.by_cause() == {}
        with pytest.raises(JobError, match="set CRAWL_KEY"):
            reader.sessions.all()
    with closing(store(path, KEY, read_only=True)) as reader:
        assert reader.sessions.all() == [SESSION]
    with pytest.raises(JobError, match="CRAWL_KEY is not the key"):
        store(path, "another", read_only=True)


def test_a_reader_encrypts_nothing(path: Path) -> None:
    keep(path)
    with closing(store(path, KEY, read_only=True)) as reader:
        assert reader.sessions.all() == [SESSION]
    assert kept(path) == SESSION


def test_a_key_from_now_on(path: Path) -> None:
    keep(path)
    with closing(store(path, KEY)) as opened:
        assert shows(path) == []  # not in the log of the database either, while it is open
        assert opened.sessions.all() == [SESSION]
    assert shows(path) == []
    assert kept(path, KEY) == SESSION


def test_remaining_plain_text_is_wiped_after_a_kill(path: Path) -> None:
    keep(path)
    with closing(store(path, KEY)) as opened, opened.transaction():
        opened.meta.set("is_wiped", False)  # as if it had been killed before
    with closing(store(path, KEY)):
        pass
    ((wiped,),) = rows(path.parent, "SELECT value FROM job WHERE name = 'is_wiped'")
    assert wiped == "true"


# Where the key is


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRAWL_KEY", raising=False)
    assert credentials.encryption_key() is None


def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_KEY", KEY)
    assert credentials.encryption_key() == KEY


def test_an_empty_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_KEY", " ")
    with pytest.raises(SettingsError, match="CRAWL_KEY is empty"):
        credentials.encryption_key()


def test_a_key_in_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {("crawler", "CRAWL_KEY"): KEY}
    fake = SimpleNamespace(get_password=lambda *key: found.get(key))
    fake.errors = SimpleNamespace(KeyringError=OSError)
    monkeypatch.setitem(sys.modules, "keyring", fake)
    monkeypatch.setitem(sys.modules, "keyring.errors", fake.errors)
    monkeypatch.setenv("CRAWL_KEY", "keyring")
    assert credentials.encryption_key() == KEY
    found.clear()
    with pytest.raises(SettingsError, match="keyring set crawler CRAWL_KEY"):
        credentials.encryption_key()
