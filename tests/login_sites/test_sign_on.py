"""Single sign-on: a provider at another host logs in."""

from __future__ import annotations

from pathlib import Path

from tests.login_sites.cases import SIGN_ON, Case
from tests.login_sites.checks import check, every_way
from tests.login_sites.crawls import Plan
from tests.login_sites.launcher import Launcher


@every_way(SIGN_ON)
def test_the_output_is_exact(tmp_path: Path, launcher: Launcher, case: Case, plan: Plan) -> None:
    check(case, plan, tmp_path, launcher)
