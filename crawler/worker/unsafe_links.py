"""Safety: which links a logged-in job leaves alone, as they log out or destroy something. Pure.

What a link does cannot be known from its address. But sites name such addresses after what they
do, in a part of the path or in a parameter: ``/users/logout.php``, ``/posts/delete/12``,
``/posts/12?action=delete``, ``?remove_item=12``. A word counts where it is the whole of a path
segment, of a parameter's name, or of the value of a parameter that says what to do. Within a
longer one it does not: ``/articles/how-to-delete-files`` is an article.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Literal, Self
from urllib.parse import unquote_plus

from crawler import urls
from crawler.errors import FetchError, SpiderError
from crawler.request import Request
from crawler.settings import Settings

Objection = Literal["", "logs out", "destructive"]
"""What there is to say against following a link; empty if nothing."""


class UnsafeLinkFilter:
    """The links that a logged-in job follows, or not.

    ``logout_urls`` are the spider's own: text that stands anywhere in the URL, or compiled regular
    expressions. ``follow_logout`` and ``follow_destructive`` are the settings of these names.
    Raises SpiderError where ``logout_urls`` holds anything else.
    """

    def __init__(
        self,
        logout_urls: Sequence[str | re.Pattern[str]] = (),
        *,
        follow_logout: bool = False,
        follow_destructive: bool = False,
    ) -> None:
        self._own = [_searched(pattern) for pattern in _listed(logout_urls)]
        self._follow_logout = follow_logout
        self._follow_destructive = follow_destructive

    @classmethod
    def of(cls, logout_urls: Sequence[str | re.Pattern[str]], settings: Settings) -> Self:
        """What a job that logs in does not follow, by its spider and settings."""
        return cls(
            logout_urls,
            follow_logout=settings.follow_logout,
            follow_destructive=settings.follow_destructive,
        )

    def danger(self, url: str) -> Objection:
        """What there is to say against following ``url``, which is normalised."""
        signs = _signs(url)
        if not self._follow_logout and (
            signs & _LOGOUT or any(own.search(url) for own in self._own)
        ):
            return "logs out"
        if not self._follow_destructive and signs & _DESTRUCTIVE:
            return "destructive"
        return ""

    def check_redirect(self, request: Request, target: Request) -> None:
        """Raises FetchError where a redirect leads to what would not be followed as a link.

        A request that is of that kind itself was asked for by the spider or the user, who also
        gets what it leads to. So does who sends a form that deletes: its answer is often a
        redirect to ``?action=delete&done``, where nothing is deleted any more.
        """
        why = self.danger(target.url) if target.method == "GET" else ""
        if not why or why == self.danger(request.url):
            return
        if why == "destructive" and request.method != "GET":
            return
        raise FetchError(
            why,
            f"{urls.redacted(request.url)} redirects to {urls.redacted(target.url)}, "
            f"{MEANING[why]}; {WAY_OUT[why]} follows it",
        )


MEANING: dict[Objection, str] = {
    "logs out": "which would log out",
    "destructive": "which looks as if it deletes or ends something",
}
WAY_OUT: dict[Objection, str] = {
    "logs out": "follow_logout=true",
    "destructive": "follow_destructive=true",
}


def _listed(patterns: Iterable[object]) -> Iterable[object]:
    return [patterns] if isinstance(patterns, (str, re.Pattern)) else patterns


def _searched(pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, str) and pattern:
        return re.compile(re.escape(pattern))
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    raise SpiderError(
        f"logout_urls holds {pattern!r}: give text that stands in the URL, or re.compile(…)"
    )


# Where words are looked for


# What one word of a URL may stand for, as bits.
_LOGOUT, _DESTRUCTIVE, _EXIT, _DISCARD, _ACTION = 1, 2, 4, 8, 16


def _signs(url: str) -> int:
    """``LOGOUT``, ``DESTRUCTIVE`` or both, as the URL's path and query look."""
    place, _, query = url.partition("#")[0].partition("?")
    segments = [part for part in place[url.find("/", 8) :].split("/") if part]
    found = 0
    for segment in segments:
        found |= _of_segment(segment)
    if segments and _of_segment(segments[-1]) & _EXIT:
        found |= _LOGOUT
    return found | _of_query(query) if query else found


def _of_query(query: str) -> int:
    found = 0
    for pair in _PAIRS.split(query):
        name, _, value = pair.partition("=")
        named = _of_word(name)
        address = _WHOLE_ADDRESS if named & _ACTION else _ADDRESS
        if address.match(value) or value.lower() in _NO:
            continue
        found |= named
        if named & _ACTION:
            found |= _of_action(value)
        else:
            found |= _of_action(value) & _LOGOUT
    return found


@lru_cache(maxsize=4096)
def _of_segment(segment: str) -> int:
    """A part of a path, without the ending of a script."""
    segment = segment.partition(";")[0]
    name, dot, ending = segment.rpartition(".")
    return _of_word(name if dot and ending.lower() in SCRIPTS else segment)


@lru_cache(maxsize=4096)
def _of_action(value: str) -> int:
    """The last word of a value such as ``account/logout``, ``user.logout`` or ``delete``."""
    sign = _of_word(_SEPARATORS.split(unquote_plus(value).rstrip("/"))[-1])
    if sign & _EXIT:
        sign |= _LOGOUT
    return sign | _DESTRUCTIVE if sign & _DISCARD else sign


@lru_cache(maxsize=4096)
def _of_word(text: str) -> int:
    """``Log-Out``, ``log_out`` and ``Special:LogOut`` are all ``logout``."""
    if "%" in text or "+" in text:
        text = unquote_plus(text)
    return _SIGNS.get(_plain(text.rpartition(":")[2].translate(_JOINED)), 0)


def _plain(word: str) -> str:
    """In lower case, and without accents."""
    if word.isascii():
        return word.lower()
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


_JOINED = str.maketrans("", "", "-_. !")
_PAIRS = re.compile("[&;]")
_SEPARATORS = re.compile("[/.:|,]")
_WHOLE_ADDRESS = re.compile("https?(:|%3a)", re.IGNORECASE)
_ADDRESS = re.compile("/|%2f|https?(:|%3a)", re.IGNORECASE)
_NO = frozenset({"0", "false", "no", "off"})


# The words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _with(verbs: frozenset[str], nouns: frozenset[str]) -> frozenset[str]:
    """The verbs alone, and before or after a noun: ``deleteitem``, ``itemdelete``."""
    pairs = product(verbs, nouns)
    return verbs.union(*((verb + noun, noun + verb) for verb, noun in pairs))


SCRIPTS = _words(
    "action ashx asp aspx axd cfm cgi do faces htm html jsf jsp jspx php php5 phtml pl py shtml"
)
ACTIONS = _words(
    "a ac act action activity cmd command do event fn func function method mode op operation opt"
    " option r route task todo view what"
)
"""Parameters whose value says what to do."""

LOGOUT = _with(
    _words("logout logoff signout signoff"),
    _words(
        "account action admin all auth client confirm customer do everywhere me member now oauth"
        " oidc page saml session sessions sso user users"
    ),
) | _words(
    """
    closesession destroysession endsession killsession logmeout sessionend sessionlogout
    abmelden abmeldung ausloggen
    deconnecter deconnexion deconnection sedeconnecter
    cerrarsesion cerrarlasesion desconectar desconectarse desconexion
    encerrarsessão terminarsessão desligarse
    disconnessione disconnetti disconnettersi
    afmelden uitloggen
    loggaut loggaav loggut loggav logud logaf kirjauduulos uloskirjautuminen útskráning
    wyloguj wylogowanie wylogujsię odhlasit odhlášení odhlasitse
    kijelentkezés deconectare delogare odjava odjavise
    oturumukapat cikisyap выход выйти вихід вийти vyhod vyiti αποσύνδεση
    ログアウト 로그아웃 退出登录 退出登入 登出 注销 تسجيلالخروج dangxuat
    """
)
"""What the address that ends a session is called, in the languages where this is common."""

EXIT = _words("salir sair esci keluar cikis kilépés ieșire 退出")
"""Words for a way out, which elsewhere than at the end may mean something else."""

DESTRUCTIVE = _with(
    _words(
        "cancel deactivate delete deregister destroy erase purge remove revoke terminate"
        " unregister unsubscribe"
    ),
    _words(
        "access account address all attachment booking card comment confirm contact customer"
        " device document email entry event file form friend history image item items key me"
        " member membership message my node object order page payment photo post product profile"
        " project record request reservation row selected session subscription thread ticket token"
        " user"
    ),
) | _words(
    """
    closeaccount closemyaccount cancelmysubscription deletemyaccount del dodelete doremove
    löschen loeschen entfernen kündigen kuendigen stornieren abbestellen widerrufen deaktivieren
    supprimer effacer annuler résilier désabonner désinscrire
    désactiver révoquer détruire
    eliminar borrar cancelar anular desactivar revocar dardebaja
    excluir apagar remover desativar
    elimina eliminare cancella cancellare rimuovi rimuovere annulla annullare disattiva revoca
    verwijder verwijderen wissen annuleren opzeggen uitschrijven intrekken deactiveren
    tabort radera slet slett fjern poista
    usuń skasuj anuluj smazat odstranit zrušit obriši töröl törlés
    удалить отменить видалити udalit iptal διαγραφή 削除 삭제 删除 刪除 取消 حذف hapus xóa
    """
)
"""What an address is called that deletes, removes, cancels or ends something."""

DISCARD = _words("clear discard drop empty kill reset rm sil trash wipe")
"""Words that are destructive where they say what to do, and may be the name of a page elsewhere."""


def _signed() -> dict[str, int]:
    found: dict[str, int] = {}
    for words, sign in (
        (LOGOUT, _LOGOUT),
        (DESTRUCTIVE, _DESTRUCTIVE),
        (EXIT, _EXIT),
        (DISCARD, _DISCARD),
        (ACTIONS, _ACTION),
    ):
        for word in map(_plain, words):
            found[word] = found.get(word, 0) | sign
    return found


_SIGNS = MappingProxyType(_signed())
