"""Import the file or module of a spider. Each error is one sentence."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from crawler.errors import SpiderError
from crawler.text import display_path


def import_file(path: Path) -> ModuleType:
    """Return the module of a spider's file, the same at each call. Raises SpiderError.

    The file can import from the current folder and from its own, but they come last: a spider
    called ``json.py`` must not replace the standard library's.
    """
    path = path.absolute()
    if not path.is_file():
        raise SpiderError(_no_file(path))
    _make_importable(Path.cwd())
    _make_importable(path.parent)
    name = _package_name(path)
    if name is not None:
        module = import_module(name)
        if Path(module.__file__ or "").absolute() == path:
            return module
    name = f"spider_{path.stem}_{hashlib.blake2b(bytes(path), digest_size=4).hexdigest()}"
    return sys.modules.get(name) or _execute(name, path)


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpiderError(f"{display_path(path)} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look the module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SpiderError(_reason(error, display_path(path), path)) from error
    return module


def import_module(name: str) -> ModuleType:
    """Return the module of a dotted name, as seen from the current folder. Raises SpiderError."""
    _make_importable(Path.cwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            message = f"there is no module {name!r}, seen from {Path.cwd()}"
        else:
            message = _reason(error, name, None)
        raise SpiderError(message) from error


def _package_name(path: Path) -> str | None:
    """Return the dotted name of a file in a package, and make that importable; else None."""
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if len(parts) == 1 or not path.stem.isidentifier():
        return None
    _make_importable(folder)
    return ".".join(parts)


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _no_file(path: Path) -> str:
    if path.is_dir():
        folder = display_path(path)
        return f"{folder} is a folder: name one of its files, as in {folder}/books.py"
    siblings = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f": did you mean {display_path(path.with_name(near[0]))}?" if near else ""
    return f"there is no file {display_path(path)}{hint}"


def _reason(error: BaseException, where: str, path: Path | None) -> str:
    """Return why a spider's module cannot be imported, in one sentence."""
    if isinstance(error, SyntaxError):
        file = display_path(Path(error.filename)) if error.filename else where
        return f"{file}, line {error.lineno}: syntax error: {error.msg}"
    if isinstance(error, ModuleNotFoundError):
        return f"{where} imports {error.name!r}, which is not installed here"
    if isinstance(error, ImportError | SpiderError):
        return f"{where} cannot be imported: {error}"
    line = _line_in(error, path)
    return f"{where}{line} cannot be imported: {type(error).__name__}: {error}"


def _line_in(error: BaseException, path: Path | None) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if path is None or frame.filename == str(path)
    ]
    return f", line {frames[-1].lineno}," if frames and path else ""
