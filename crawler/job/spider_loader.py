"""Find the spider that the user means, and load the same class in every process.

A spider is named by what ``crawl list`` shows, by its file (``spiders/books.py``, with
``:Books`` where the file has several) or by its module (``package.module:Books``).
"""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from crawler.errors import SpiderError
from crawler.job.importing import import_file, import_module
from crawler.scheduling.retry import rules_by_kind
from crawler.session.credentials import refuse_in_arguments
from crawler.settings import NAMES as SETTINGS
from crawler.spider import Spider
from crawler.text import display_path

FOLDER = Path("spiders")


@dataclass(frozen=True, slots=True)
class SpiderSource:
    """The origin of a spider class; can be pickled, and means the same in every process.

    ``spec`` finds it again from any folder: the file's absolute path, or the module, and the
    class. ``spider`` is the class itself if a script has passed it.
    """

    spec: str
    path: Path | None = None
    module: str = ""
    class_name: str = ""
    spider: type[Spider] | None = None

    def load(self) -> type[Spider]:
        """Return the class, imported if need be. Raises SpiderError."""
        if self.spider is not None:
            return self.spider
        module = import_module(self.module) if self.path is None else import_file(self.path)
        name = self.module if self.path is None else display_path(self.path)
        return _spider_in(module, self.class_name, name)

    def make(self, arguments: Mapping[str, str]) -> Spider:
        """Return an instance, constructed with ``arguments``. Raises UsageError."""
        spider = self.load()
        refuse_in_arguments(arguments)
        _check_arguments(spider, arguments)
        if missing := _missing(spider, arguments):
            ways = " ".join(f"-a {name}=…" for name in missing)
            raise SpiderError(f"{spider.__name__} needs {', '.join(missing)}: give {ways}")
        try:
            instance = spider(**arguments)
        except Exception as error:
            options = f" with -a {', '.join(arguments)}" if arguments else ""
            raise SpiderError(
                f"{spider.__name__} cannot be created{options}: {type(error).__name__}: {error}"
            ) from error
        rules_by_kind(instance.retry, f"{spider.__name__}.retry")
        return instance

    def check_importable(self) -> None:
        """Raise SpiderError for a class that no other process can import, as in a notebook."""
        if self.spider is not None and not _is_importable(self.spider):
            raise SpiderError(
                f"worker processes cannot import {self.spider.__name__}: put it into a file of its "
                "own, or run it in this process with workers=0"
            )


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of ``crawl list``: a spider, or with ``error`` a file that cannot be imported."""

    path: Path
    name: str = ""
    class_name: str = ""
    about: str = ""
    logs_in: bool = False
    error: str = ""


def find(spec: str, folder: Path = FOLDER) -> SpiderSource:
    """Return the spider that ``spec`` means: a name, a file or a module. Raises SpiderError."""
    location, _, class_name = spec.rpartition(":") if ":" in spec else (spec, "", "")
    if _is_file(location):
        return _in_file(Path(location), class_name)
    if class_name:
        SpiderSource(spec, module=location, class_name=class_name).load()
        return SpiderSource(spec, module=location, class_name=class_name)
    return _by_name(spec, folder)


def _is_file(location: str) -> bool:
    return location.endswith(".py") or "/" in location or "\\" in location


def of_class(spider: type[Spider]) -> SpiderSource:
    """Return the source of a class that a script passes. Raises SpiderError."""
    if not (isinstance(spider, type) and issubclass(spider, Spider)):
        raise SpiderError(f"{spider!r} is not a spider: pass a class that extends Spider")
    _check_name(spider)
    module = sys.modules.get(spider.__module__)
    file = getattr(module, "__file__", None)
    is_script = spider.__module__ == "__main__" and file is not None
    module_name = str(Path(file).absolute()) if is_script and file else spider.__module__
    return SpiderSource(f"{module_name}:{spider.__qualname__}", spider=spider)


def literal_attributes(spec: str, names: Collection[str], folder: Path = FOLDER) -> dict[str, Any]:
    """Return attributes that the file of a spider sets to plain values, without running it.

    Only ``names`` are returned; none for a module, or if the classes of the file differ in it.
    """
    location, _, class_name = spec.rpartition(":") if ":" in spec else (spec, "", "")
    path = Path(location) if _is_file(location) else folder / f"{location}.py"
    try:
        module = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    values: dict[str, set[Any]] = {}
    for statement in _class_statements(module, class_name):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id in names:
                    values.setdefault(target.id, set()).add(statement.value.value)
    return {name: choices.pop() for name, choices in values.items() if len(choices) == 1}


def _class_statements(module: ast.Module, class_name: str) -> Iterator[ast.stmt]:
    for statement in module.body:
        if isinstance(statement, ast.ClassDef) and class_name in ("", statement.name):
            yield from statement.body


def available(folder: Path = FOLDER) -> list[Listing]:
    """List every spider in the files of ``folder``, and every file that cannot be imported."""
    return [listing for path in _files(folder) for listing in _listed(path)]


def _files(folder: Path) -> list[Path]:
    """Return the Python files in ``folder`` and below, without private and hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*.py")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def _listed(path: Path) -> Iterator[Listing]:
    try:
        module = import_file(path)
    except SpiderError as error:
        yield Listing(path, error=str(error))
        return
    for spider in _spiders_of(module).values():
        doc = vars(spider).get("__doc__") or module.__doc__ or ""
        about = doc.strip().partition("\n")[0]
        yield Listing(path, spider.name, spider.__name__, about, spider.logs_in())


# By file and by name


def _in_file(path: Path, class_name: str) -> SpiderSource:
    path = path.absolute()
    spider = _spider_in(import_file(path), class_name, display_path(path))
    return SpiderSource(f"{path}:{spider.__qualname__}", path=path, class_name=spider.__qualname__)


def _by_name(name: str, folder: Path) -> SpiderSource:
    """Return the spider of this name, else of this class, else that in the file of this name."""
    likely = folder / f"{name}.py"
    if likely.is_file():  # the usual case, which need not import every other file
        for spider in _spiders_of(import_file(likely)).values():
            if name in (spider.name, spider.__name__):
                return _in_file(likely, spider.__name__)
    listings = available(folder)
    matching = [listing for listing in listings if listing.name == name]
    matching = matching or [listing for listing in listings if listing.class_name == name]
    if len(matching) > 1:
        raise SpiderError(f"there are several spiders {name!r}: choose {_or(matching)}")
    if matching:
        return _in_file(matching[0].path, matching[0].class_name)
    if likely.is_file():
        return _in_file(likely, "")
    raise SpiderError(_not_found(name, folder, listings))


def _or(listings: list[Listing]) -> str:
    return " or ".join(f"{display_path(listing.path)}:{listing.class_name}" for listing in listings)


def _not_found(name: str, folder: Path, listings: list[Listing]) -> str:
    names = sorted({listing.name for listing in listings if listing.name})
    message = f"there is no spider {name!r} in {folder}/"
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        message += f": did you mean {near[0]}?"
    if names:
        message += f" (found: {', '.join(names)})"
    elif not folder.is_dir():
        message += ", which does not exist"
    if "." in name:
        message += "; a module needs its class, as in package.module:Class"
    elif not names:
        message += f"; to begin with one: crawl new {name}"
    broken = [listing.error for listing in listings if listing.error]
    return "; ".join([message, *broken])


# The classes of a module


def _is_importable(spider: type[Spider]) -> bool:
    module = sys.modules.get(spider.__module__)
    if "<locals>" in spider.__qualname__ or module is None:
        return False
    # Worker processes run a script again to get its classes. A prompt, a notebook or `python -c`
    # has no file to run, and the file of `python - < script` is called <stdin>.
    file = getattr(module, "__file__", None)
    return spider.__module__ != "__main__" or (file is not None and Path(file).is_file())


def _spiders_of(module: ModuleType) -> dict[str, type[Spider]]:
    """Return the spiders that a module defines itself, by class name, in the order of the file.

    A class with an underscore is a base class, and is found only by its own name.
    """
    return {
        value.__name__: value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Spider)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    }


def _spider_in(module: ModuleType, class_name: str, source: str) -> type[Spider]:
    spiders = _spiders_of(module)
    if class_name:
        spider = _named(module, class_name, f"{source}:{class_name}", list(spiders))
    elif len(spiders) == 1:
        (spider,) = spiders.values()
    elif spiders:
        choices = " or ".join(f"{source}:{name}" for name in spiders)
        raise SpiderError(f"{source} has several spiders: choose {choices}")
    else:
        raise SpiderError(f"{source} has no spider: it needs a class that extends crawler.Spider")
    _check_name(spider)
    return spider


def _named(module: ModuleType, name: str, full_name: str, spiders: list[str]) -> type[Spider]:
    value: Any = module
    for part in name.split("."):  # a class may be nested in another
        value = getattr(value, part, None)
    if isinstance(value, type) and issubclass(value, Spider):
        return value
    hint = f"; the file has {', '.join(spiders)}" if spiders else ""
    reason = "there is no such class" if value is None else "it is not a class that extends Spider"
    raise SpiderError(f"{full_name}: {reason}{hint}")


def _check_name(spider: type[Spider]) -> None:
    """Raise SpiderError for a name that the job's folder cannot have."""
    name: object = spider.name
    usable = isinstance(name, str) and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    if not usable or not name or str(name).startswith((".", "-")) or str(name).strip() != name:
        raise SpiderError(
            f"{spider.__name__}.name is {name!r}, which cannot be the name of a folder"
        )


def _check_arguments(spider: type[Spider], arguments: Mapping[str, str]) -> None:
    for name, value in arguments.items():
        if not name.isidentifier():
            raise SpiderError(f"-a {name}={value}: {name!r} cannot be the name of an argument")
        if name in SETTINGS:
            raise SpiderError(f"-a {name}={value}: {name} is a setting, so say -s {name}={value}")
        if callable(getattr(spider, name, None)):
            raise SpiderError(f"-a {name}={value}: {name} is a method of {spider.__name__}")


def _missing(spider: type[Spider], arguments: Mapping[str, str]) -> list[str]:
    """Return the required arguments of the constructor that are not given."""
    parameters = list(inspect.signature(spider).parameters.values())
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
        and parameter.name not in arguments
    ]
