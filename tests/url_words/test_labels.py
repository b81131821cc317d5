"""Labels of links and buttons that name the end of a session, in many languages."""

from __future__ import annotations

import pytest

from crawler.url_words.words import names_logout

LABELS = """
Log out|LOGOUT|log-off|Sign out|Log out (Ann)|» Logout|doLogout()|End session|Abmelden|Ausloggen
Déconnexion|DÉCONNEXION|Se déconnecter|Cerrar sesión|Cerrar la sesión|Salir|Terminar sessão|Sair
Disconnetti|Esci|Uitloggen|Logga ut|Log ud|Log af|Logg ut|Kirjaudu ulos|Odhlásit se|Wyloguj się
Kijelentkezés|Çıkış yap|ÇIKIŞ YAP|Delogare|Odjava|Выйти|Вихід|Изход|Αποσύνδεση|ログアウトする
サインアウト|安全退出|登出|注销|로그아웃|تسجيل الخروج|خروج|התנתק|Đăng xuất
"""  # noqa: RUF001
OTHERS = """
Log in|Sign in|Sign up|Logs|Log output|Backlog outage|Blog out of date|SLO|SLO report|Exit code
Contact us|User list|Signing off|Salir al campo|ログイン|登录||1234
"""


@pytest.mark.parametrize("label", LABELS.strip().replace("\n", "|").split("|"))
def test_labels_that_name_a_logout(label: str) -> None:
    assert names_logout(label)


@pytest.mark.parametrize("label", OTHERS.strip().replace("\n", "|").split("|"))
def test_labels_that_name_something_else(label: str) -> None:
    assert not names_logout(label)
