"""The public conformance vectors, where they are at hand.

They lie beside the repository, in ``../shared/conformance``, and are never copied into it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "conformance"


def rows(name: str) -> list[Any]:
    """The rows of one file as parameters for ``pytest.mark.parametrize``, each with its id.

    Where the vectors are not at hand this is one parameter, whose test skips and says so.
    """
    path = FOLDER / name
    if not path.is_file():
        reason = f"the conformance vectors are not at hand: there is no {path}"
        return [pytest.param({}, id="no-vectors", marks=pytest.mark.skip(reason=reason))]
    lines = path.read_text(encoding="utf-8").splitlines()
    return [pytest.param(row, id=row["id"]) for row in map(json.loads, lines)]


def expect_misses(parameters: list[Any], reasons: dict[str, str]) -> list[Any]:
    """``parameters`` with those named in ``reasons`` marked as misses that are expected.

    A miss that no longer happens fails the tests, and so does a reason for a row that is gone.
    """
    if parameters[0].id == "no-vectors":
        return parameters
    unknown = reasons.keys() - {parameter.id for parameter in parameters}
    assert not unknown, f"no such rows: {sorted(unknown)}"
    return [
        pytest.param(
            *parameter.values,
            id=parameter.id,
            marks=pytest.mark.xfail(reason=reasons[parameter.id], strict=True),
        )
        if parameter.id in reasons
        else parameter
        for parameter in parameters
    ]
