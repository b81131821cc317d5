"""The sites themselves: what is expected of a crawl can be had, with the logins that are due."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.login_sites.addresses import name_of, path_of
from tests.login_sites.cases import KINDS
from tests.login_sites.design import Address
from tests.login_sites.walker import walk

ALL = {name: case for cases in KINDS.values() for name, case in cases.items()}


@pytest.mark.parametrize("name", ALL)
def test_a_client_that_knows_what_is_what_gets_all(name: str) -> None:
    assert walk(ALL[name].design) == []


@pytest.mark.parametrize("kind", get_args(Address))
@pytest.mark.parametrize("name", ["home", "p3", "old3", "login", "logout", "password", "callback"])
def test_a_page_is_found_at_its_address(kind: Address, name: str) -> None:
    path = path_of(kind, name, next="/p/3?x=1&y=2")
    assert name_of(kind, path) == (name, {"next": "/p/3?x=1&y=2"})
