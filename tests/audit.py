"""``make check``: ask an index whether a dependency that is installed has a known hole.

pip-audit asks PyPI. Where PyPI does not answer, the reason is printed and the check goes on, so
that the network decides nothing. The exit status is 1 for a hole alone.
"""

from __future__ import annotations

import json
import subprocess
import sys

PATIENCE = 12.0
"""Seconds for the whole audit."""
COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json"),
    *("--progress-spinner", "off", "--timeout", "4"),
]


def main() -> int:
    """Audit the environment that this runs in; returns the exit status."""
    try:
        run = subprocess.run(COMMAND, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        message, status = f"not audited: the index took longer than {PATIENCE:g} s", 0
    else:
        message, status = verdict(run.stdout, run.stderr)
    print(f"dependencies: {message}")
    return status


def verdict(output: str, errors: str) -> tuple[str, int]:
    """Return a sentence about pip-audit's result, and the exit status that it means."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = errors.strip().splitlines() or ["pip-audit said nothing"]
        return f"not audited: {lines[-1][:300]}", 0
    audited = [package for package in packages if "vulns" in package]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}{_mended(hole)}"
        for package in audited
        for hole in package["vulns"]
    ]
    if holes:
        return "\n  ".join(["known holes:", *holes]), 1
    if not audited:
        reasons = {package.get("skip_reason", "") for package in packages}
        return f"not audited: {min(reasons, default='there are none')}", 0
    unknown = len(packages) - len(audited)
    return f"no known holes in {len(audited)}, {unknown} that the index does not know", 0


def _mended(hole: dict[str, list[str]]) -> str:
    versions = ", ".join(hole.get("fix_versions") or [])
    return f", mended in {versions}" if versions else ""


if __name__ == "__main__":
    sys.exit(main())
