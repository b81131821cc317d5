"""The signs of effects in a URL: hundreds of real applications' URLs, on either side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler import urls
from crawler.url_words.signs import signs
from crawler.url_words.words import GROUPS, bits_of_action, joined

HOME = "https://x.example"
LISTS = Path(__file__).parent / "links"


def listed(name: str) -> Iterator[tuple[str, str, bool]]:
    """Yield the application, the URL and whether it is known to be misjudged."""
    application = ""
    for line in (LISTS / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            application = line.strip("[]")
        elif line and not line.startswith("#"):
            yield application, line.removeprefix("! "), line.startswith("!")


def seems_to_act(path: str, page: str = "") -> bool:
    url = urls.normalise(HOME + path)
    assert url is not None
    return any(signs(url, page))


@pytest.mark.parametrize(("name", "acts"), [("acting.txt", True), ("content.txt", False)])
def test_the_urls_of_real_applications(name: str, acts: bool) -> None:
    wrong = [path for _, path, misjudged in listed(name) if seems_to_act(path) != acts ^ misjudged]
    assert wrong == []


@pytest.mark.parametrize(("name", "most"), [("acting.txt", 0.04), ("content.txt", 0.02)])
def test_few_of_them_are_misjudged(name: str, most: float) -> None:
    rows = list(listed(name))
    assert len(rows) > 500
    assert len({path for _, path, _ in rows}) > 0.9 * len(rows)
    assert sum(misjudged for _, _, misjudged in rows) <= most * len(rows)


VERBS = """
revert rollback restore approve unapprove spam trash activate deactivate enable
disable install uninstall upgrade reset resetpassword pin unpin toggle subscribe
watch vote like follow accept reject publish unpublish lock unlock move merge
import run execute send mark mark-all-read delete_post deletePost edit
"""
ACTIONS = """
do action op cmd task mode a act func method sub_action
"""


@pytest.mark.parametrize("verb", VERBS.split())
@pytest.mark.parametrize("name", ACTIONS.split())
def test_verbs_as_actions(verb: str, name: str) -> None:
    assert seems_to_act(f"/x?{name}={verb}")
    assert seems_to_act(f"/x?{name}=thing.{verb}&id=5")
    assert seems_to_act(f"/x?tx_app[{name}]={verb}")


@pytest.mark.parametrize("verb", [verb for verb in VERBS.split() if verb != "edit"])
def test_verbs_in_a_path(verb: str) -> None:
    for path in (f"/posts/5/{verb}", f"/admin/app/model/5/{verb}/", f"/posts/my-first/{verb}"):
        assert seems_to_act(path), path
    for path in (f"/posts/{verb}/5", f"/{verb}.php?id=5", f"/posts/5;{verb}"):
        assert seems_to_act(path), path


NAMES = """
delete kill rm move merge reset lock run logout Delete Logout revert watch edit
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_pages_that_are_only_called_so(name: str) -> None:
    for path in (
        "/wiki/{}",
        "/docs/{}",
        "/tag/{}",
        "/man/1/{}",
        "/help/{}",
        "/wiki/Special:Log/{}",
    ):
        assert not seems_to_act(path.format(name)), path
    for path in ("/help?cmd={}", "/w/index.php?title={}", "/search?q={}", "/docs/{}.html"):
        assert not seems_to_act(path.format(name)), path
    for path in ("/questions/12/how-to-{}-a-file", "/articles/{}-in-ten-minutes", "/x?status={}"):
        assert not seems_to_act(path.format(name)), path


# Tokens against forgery


TOKENS = """
sectok _wpnonce token sesskey csrf_token csrftoken authenticity_token hash
form_key formhash CSRFToken _csrf csrfmiddlewaretoken nonce xsrf _xsrf
__RequestVerificationToken atl_token my_post_key securitytoken _token _xfToken
requesttoken user_token form_token __FORM_TOKEN @csrf sesc crumb _authenticator
otk YII_CSRF_TOKEN csrf_test_name OWASP_CSRFTOKEN _wp_nonce bug_update_token
"""


@pytest.mark.parametrize("name", TOKENS.split())
def test_tokens_by_name(name: str) -> None:
    for value in ("1", "abc", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"):
        assert seems_to_act(f"/x?do=thing&{name}={value}")
    assert not seems_to_act(f"/x?do=thing&{name}=")


READING = """
page_token pageToken nextPageToken continuation continuationToken $skiptoken
cursor feed_token access_token private_token share_token download_token sid s
key id max_tokens tokens
"""


@pytest.mark.parametrize("name", READING.split())
def test_tokens_for_reading_are_no_sign(name: str) -> None:
    assert not seems_to_act(f"/x?{name}=0f1e2d3c4b5a69788796a5b4c3d2e1f0")


def test_hashes_of_content() -> None:
    for value in ("0123abc", "0123abcd", 40 * "a", "0x" + 64 * "0"):
        assert not seems_to_act(f"/commit?hash={value}")
        assert seems_to_act(f"/viewtopic.php?t=2&mode=x&hash={value}")
    assert seems_to_act("/x?hash=abc")


def test_a_token_that_the_page_has_in_its_own_address() -> None:
    page = HOME + "/admin/index.php?route=common/dashboard&user_token=abc"
    assert not seems_to_act("/admin/index.php?route=catalog/product&user_token=abc", page)
    assert seems_to_act("/admin/index.php?route=catalog/product&user_token=abd", page)
    assert seems_to_act("/admin/index.php?route=catalog/product/delete&user_token=abc", page)


def test_the_signs_name_what_they_saw() -> None:
    assert signs(HOME + "/posts/5/delete").act == "delete"
    assert signs(HOME + "/x?do=revert&sectok=1").act == "sectok"
    assert signs(HOME + "/x?do=revert").act == "do=revert"
    assert signs(HOME + "/a/logout?x=1").logout == "logout"
    assert signs(HOME + "/a?do=logout&sectok=1") == ("do=logout", "")


# The words


def test_each_word_of_an_action_is_found() -> None:
    for group in ("strong", "strong words", "medium", "weak", "only as action", "logout", "exit"):
        for word in GROUPS[group]:
            assert bits_of_action(word), word


FOREIGN = """
löschen supprimer eliminar excluir elimina verwijderen usuń smazat radera slet
poista удалить видалити sil διαγραφή 削除 삭제 删除 刪除 حذف xóa veröffentlichen bloquer
publicar zablokuj 承認 опубликовать 启用
"""


@pytest.mark.parametrize("word", FOREIGN.split())
def test_verbs_of_many_languages(word: str) -> None:
    for path in (f"/posts/5/{word}", f"/x?action={word}", f"/x?do={word.upper()}&id=5"):
        encoded = urls.normalise(HOME + path)
        assert encoded is not None
        assert signs(encoded).act
        assert signs(encoded.replace("%C", "%c")).act
    assert not seems_to_act(f"/wiki/{word}")
    assert joined(word.upper()) == joined(word)
