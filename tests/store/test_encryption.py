"""Sessions that are stored encrypted, and keys that are missing or wrong."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from crawler.errors import JobError, SettingsError
from crawler.records import Cookie, FailureReport, LoginState, NewRequest, SessionRecord
from crawler.request import FormOrigin, Hop, Request, packed
from crawler.session import credentials
from crawler.store.encryption import Cipher, may_have_secret
from crawler.store.sqlite.store import SQLiteStore
from tests.jobs import rows
from tests.store.builders import NOW, A, add_host

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


# Requests, failures, seeds and arguments

URL = "https://shop.example/books/the-house-of-the-seven-gables/page-2.html"
SECRET = "hunter2-hunter2"
SECRETIVE = [
    Request(URL, headers={"X-Page": SECRET}),
    Request(URL, cookies={"page": SECRET}),
    Request(URL, method="POST", data={"a": SECRET}),
    Request(URL, method="POST", data=SECRET.encode()),
    Request(URL, method="PUT", json={"a": [SECRET]}),
    Request(URL, cb_kwargs={"state": SECRET}),
    Request(URL, history=[Hop(f"{URL}?ticket={SECRET}", 302)]),
    Request(URL, first=SECRET.encode()),
    Request(URL, form=FormOrigin(URL, 0, [("user", SECRET)])),
    Request(f"https://ada:{SECRET}@shop.example/"),
    *(
        Request(f"https://shop.example/{rest}{SECRET}")
        for rest in ("?token=", "a?b=1&access_key=", "a;jsessionid=", "?t=", "reset/", "#token=")
    ),
    Request("https://shop.example/d/hunter2hunter2hunter2hunter2"),
    Request("https://shop.example/d/0123456789abcdef0123456789abcdef"),
]
OPEN = [
    URL,
    "https://shop.example/",
    "https://shop.example/list?page=2&sort=title&order=asc",
    "https://shop.example/shopping/inside/design/monkey/sidebar?year=2024",
    "https://shop.example/a-very-long-title-of-a-book-about-houses",
]


@pytest.mark.parametrize("request_", SECRETIVE, ids=lambda each: each.url)
def test_a_request_with_a_secret_is_encrypted(path: Path, request_: Request) -> None:
    data = packed(request_)
    assert may_have_secret(data)
    with closing(store(path, KEY)) as opened:
        host_id = add_host(opened)
        row = NewRequest(b"f" * 16, A, 0, "parse", msgspec.Raw(data))
        with opened.transaction():
            added = opened.queue.add([(host_id, row)], 1)
        assert added == [(host_id, 0, 1, 0, data)]  # as it is sent
        for _ in range(2):
            assert b"hunter2" not in files(path)
            assert b"0123456789abcdef" not in files(path)
            (queued,) = opened.queue.next_requests(host_id, None, 9)
            assert queued.request == data
            assert list(opened.queue.requests()) == [data]
            with opened.transaction():
                opened.queue.replace(host_id, queued.key, data, due=NOW)
            (queued,) = opened.queue.release_due(host_id, NOW)
            assert queued.request == data
            with opened.transaction():
                opened.queue.move(host_id, queued.key, host_id, data)


@pytest.mark.parametrize("url", OPEN)
def test_a_mere_url_is_stored_as_it_is(path: Path, url: str) -> None:
    """It takes no longer than without a key."""
    data = packed(Request(url, callback="parse_shopping", priority=3, depth=2, tries=1))
    assert not may_have_secret(data)


def fill(path: Path, key: str | None = None) -> int:
    """Store all that has secrets in a job; return the id of its host."""
    with closing(store(path, key)) as opened:
        host_id = add_host(opened)
        new = [
            (host_id, NewRequest(bytes([n]) * 16, A, 0, "parse", msgspec.Raw(packed(each))))
            for n, each in enumerate([*SECRETIVE, *map(Request, OPEN)])
        ]
        report = FailureReport(f"{URL}?a={SECRET}", "ValueError", f"no {SECRET}", f"at {SECRET}")
        with opened.transaction():
            opened.queue.add(new, 1)
            opened.failures.add(report, packed(SECRETIVE[0]), NOW)
            opened.meta.update(VALUES)
    return host_id


VALUES = {
    "record": {"spider": "a", "seeds": [f"{URL}?a={SECRET}"], "arguments": {"code": SECRET}},
    "seeds": {"identity": [[SECRET]]},
    "shapes": {"pages": 3, "shapes": {SECRET: 2}},
    "counters": {"done": 1},
}


@pytest.mark.parametrize("first_key", [KEY, None])
def test_nothing_that_has_secrets_is_in_clear(path: Path, first_key: str | None) -> None:
    """Also if a store without a key gets one."""
    host_id = fill(path, first_key)
    assert (b"hunter2" in files(path)) is (first_key is None)
    for _ in range(2):
        with closing(store(path, KEY)) as opened:
            assert b"hunter2" not in files(path)
            queued = opened.queue.next_requests(host_id, None, 99)
            expected = [*map(packed, SECRETIVE), *(packed(Request(url)) for url in OPEN)]
            assert [request.request for request in queued] == expected
            (failed,) = opened.failures.latest()
            assert failed.report.message == f"no {SECRET}"
            assert failed.report.traceback == f"at {SECRET}"
            assert failed.report.url == f"{URL}?a={SECRET}"
            assert {name: opened.meta.get(name) for name in VALUES} == VALUES
        assert b"hunter2" not in files(path)


def test_a_store_whose_sessions_alone_are_encrypted(path: Path) -> None:
    """As an earlier version has left it."""
    fill(path)
    with closing(store(path)) as opened, opened.transaction():
        opened.meta.set("vault", Cipher(KEY).header)
        opened.meta.set("is_wiped", True)
    with closing(store(path, KEY)):
        pass
    assert b"hunter2" not in files(path)


def test_a_reader_without_the_key_has_what_is_no_secret(path: Path) -> None:
    fill(path, KEY)
    with closing(store(path, read_only=True)) as reader:
        assert reader.failures.by_cause() == {"ValueError": 1}
        assert reader.meta.get("counters") == {"done": 1}
        record = reader.meta.get("record")
        assert record.pop("encrypted")
        assert record == {"spider": "a"}
        with pytest.raises(JobError, match="set CRAWL_KEY"):
            reader.failures.latest()
        with pytest.raises(JobError, match="set CRAWL_KEY"):
            list(reader.queue.requests())


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
