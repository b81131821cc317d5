"""One coverage-guided search, in a process of its own: libFuzzer ends the process it runs in.

``python -m tests.fuzz.guided TARGET [LIBFUZZER OPTIONS] [FOLDERS]``; TARGET ``all`` takes them in
turn, by the first byte of the input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["crawler", "protego", "http.cookiejar"]):
    from tests.fuzz.targets import TARGETS


def _in_turn(data: bytes) -> None:
    """The first byte says which target; see ``tests.fuzz.__main__.mixed``."""
    if data:
        targets = list(TARGETS.values())
        targets[data[0] % len(targets)].check(data[1:])


def main() -> None:
    """Search until libFuzzer is stopped or finds a fault."""
    name, options = sys.argv[1], sys.argv[2:]
    check: Callable[[bytes], None] = _in_turn if name == "all" else TARGETS[name].check
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
