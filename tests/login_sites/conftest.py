"""Fixtures and sites that the tests of sites behind a login share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.login_sites.launcher import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """A process that starts the crawls."""
    with Launcher() as running:
        yield running
