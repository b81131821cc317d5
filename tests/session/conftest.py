"""Fixtures of several tests of sessions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tls import Authority, SecureSite


@pytest.fixture
def secure(authority: Authority) -> Iterator[SecureSite]:
    """A site that speaks HTTPS."""
    with SecureSite.of(authority.context()) as running:
        yield running
