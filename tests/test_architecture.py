"""The house: its floors, its façade, and the habits that a machine can hold."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

import crawler

PACKAGE = Path(crawler.__file__).parent

# From the ground up: a package, or a module at the top, imports only from what stands before it.
FLOORS = [
    *("errors", "text", "clock", "gc_tuning", "urls", "url_words", "system_errors", "tracebacks"),
    *("scope", "settings", "request", "values", "records", "messages", "stats"),
    *("store", "parsing", "http", "session", "output", "spider", "scheduling"),
    *("worker", "job", "fetching", "engine", "cli", "api", "__main__"),
]
MOST_AT_THE_TOP = 17
MOST_IN_A_PACKAGE = 12

MOST_LINES = 500
MOST_FUNCTION_LINES = 60

# Imports inside functions, each with a comment that says why. ``cli`` may do it where it likes.
LAZY = {
    ("cli.main", "*"),
    ("parsing.links", "lxml.cssselect"),
    ("session.credentials", "keyring"),
    ("session.credentials", "keyring.errors"),
    ("cli.progress", "rich.console"),
    ("cli.progress", "rich.live"),
    ("cli.progress", "rich.progress_bar"),
    ("cli.progress", "rich.table"),
    ("cli.progress", "rich.text"),
    ("output.file_lock", "fcntl"),
    ("system_errors", "resource"),
    ("urls", "publicsuffixlist"),
    ("store.encryption", "cryptography.fernet"),
    ("store.encryption", "cryptography.hazmat.primitives.kdf.scrypt"),
}

# What requests itself reads from the environment: proxies and ~/.netrc. And the variables that a
# reference to a password names, which each process looks up itself so that none travels.
ENVIRONMENT_HELPERS = {
    "session.credentials": {"environ"},
    "http.environment": {"get_environ_proxies", "get_netrc_auth"},
    "store.permissions": {"environ"},
}

# Module globals that change: each is a cache, or every thread has its own.
CHANGING_GLOBALS = {
    ("http.deadline", "_thread"): "each thread has its own",
    ("parsing.soup.nodes", "kinds"): "a cache of what strings in which tag are",
    ("parsing.html_tree", "_parsers"): "each thread has its own",
    ("urls", "_memory"): "a cache of what references were resolved to",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def modules() -> dict[str, ast.Module]:
    """Every module but the façade, without its ``crawler.``; the demo is a house of its own."""
    trees = {name_of(path): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    return {name: tree for name, tree in sorted(trees.items()) if name and not is_demo(name)}


def is_demo(name: str) -> bool:
    return name == "demo" or name.startswith("demo.")


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of what is imported, for type checkers only or within functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide on which floor a module stands"
            assert node.module is not None
            if node.module == "crawler":
                yield from (f"crawler.{alias.name}" for alias in node.names)
            else:
                yield node.module


def own_imports(name: str) -> set[str]:
    """The modules of ours that the module ``name`` imports, without their ``crawler.``."""
    found = {one.removeprefix("crawler.") for one in imported(modules()[name]) if "." in one}
    known = modules().keys()
    return {one for one in found if one in known or is_demo(one)}


def home_of(name: str) -> str:
    """The package of a module, or the module itself at the top."""
    return name.partition(".")[0]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def each_module(*without: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in modules() if name not in without])


# The floors


@each_module()
def test_imports_point_downward(name: str) -> None:
    home = home_of(name)
    ours = {home_of(one) for one in own_imports(name) if not is_demo(one)} - {home}
    assert {one for one in ours if FLOORS.index(one) > FLOORS.index(home)} == set()


def test_worker_and_job_do_not_know_each_other_nor_store_http_and_parsing() -> None:
    for apart in ({"worker", "job"}, {"store", "http", "parsing"}, {"worker", "store"}):
        for name in modules():
            if home_of(name) in apart:
                ours = {home_of(one) for one in own_imports(name)} - {home_of(name)}
                assert not ours & apart, name


def test_no_folder_is_crowded() -> None:
    for folder in {PACKAGE, *(path.parent for path in PACKAGE.rglob("*.py"))}:
        modules_there = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        most = MOST_AT_THE_TOP - 1 if folder == PACKAGE else MOST_IN_A_PACKAGE
        assert len(modules_there) <= most, folder


def test_no_circles() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for one in sorted(own_imports(name) & modules().keys()):
                visit(one, (*path, name))
            done.add(name)

    for name in modules():
        visit(name, ())


@each_module("cli.main")
def test_only_the_command_knows_the_demo(name: str) -> None:
    assert not any(map(is_demo, own_imports(name)))


@each_module()
def test_no_imports_within_functions(name: str) -> None:
    lazy = {one for function in functions(modules()[name]) for one in imported(function)}
    assert {one for one in lazy if not {(name, one), (name, "*")} & LAZY} == set()


def test_lazy_imports_still_exist() -> None:
    for name, what in LAZY:
        lazy = {one for function in functions(modules()[name]) for one in imported(function)}
        assert lazy if what == "*" else what in lazy, f"{name} imports {what} at its top by now"


# The façade


def test_the_facade_hands_on_names_and_nothing_else() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    docstring, *imports, names = tree.body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    assert isinstance(names, ast.Assign)
    assert ast.unparse(names.targets[0]) == "__all__"
    given = {
        alias.asname or alias.name
        for node in imports
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(given) == crawler.__all__


def test_the_facade_has_about_a_dozen_names() -> None:
    assert 8 <= len(crawler.__all__) <= 16
    for name in crawler.__all__:
        assert getattr(crawler, name) is not None


# The habits


@each_module()
def test_modules_are_short(name: str) -> None:
    lines = len(inspect.getsource(_import(name)).splitlines())
    assert lines <= MOST_LINES, "which name has not been found yet?"


@each_module()
def test_no_function_is_long(name: str) -> None:
    long = {one.name: length(one) for one in functions(modules()[name])}
    assert {one: lines for one, lines in long.items() if lines > MOST_FUNCTION_LINES} == {}


def test_the_median_function_is_short() -> None:
    lengths = [length(one) for tree in modules().values() for one in functions(tree)]
    assert len(lengths) > 300, "these are not all the functions there are"
    assert statistics.median(lengths) < 10


@each_module("settings", *(name for name in modules() if home_of(name) in {"cli", "api"}))
def test_nothing_below_settings_reads_the_environment(name: str) -> None:
    readers = {"environ", "environb", "getenv"}
    readers |= {"get_environ_proxies", "get_netrc_auth", "getproxies", "should_bypass_proxies"}
    used = {node.id for node in ast.walk(modules()[name]) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(modules()[name]) if isinstance(node, ast.Attribute)}
    assert used & readers == ENVIRONMENT_HELPERS.get(name, set())


@each_module()
def test_everything_public_says_what_it_promises(name: str) -> None:
    module = _import(name)
    assert module.__doc__
    silent = [what for what, thing in _public(module) if not (inspect.getdoc(thing) or "").strip()]
    assert silent == []


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Public classes and functions of a module, and the classes' own public methods."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield name, thing
            for method in vars(thing):
                documented = getattr(thing, method)  # getdoc looks at the base classes too
                if not method.startswith("_") and callable(documented):
                    yield f"{name}.{method}", documented
        elif inspect.isfunction(thing):
            yield name, thing


@each_module()
def test_no_module_global_changes(name: str) -> None:
    tree = modules()[name]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    known = {what for where, what in CHANGING_GLOBALS if where == name}
    names = _globals(tree)
    assert {what for what in names if _can_change(_import(name), what)} == known
    assert _changed(tree, names) - known == set()


FIXED = (
    str,
    bytes,
    int,
    float,
    tuple,
    frozenset,
    re.Pattern,
    Path,
    logging.Logger,
    MappingProxyType,
)
TABLES = (dict, list, set)


def _can_change(module: ModuleType, name: str) -> bool:
    """Tables in capitals are constants; that nothing changes them is looked at separately."""
    value = getattr(module, name)
    if isinstance(value, TABLES):
        return not name.lstrip("_").isupper()
    plain = value is None or type(value) is object or isinstance(value, FIXED) or callable(value)
    return not plain and type(value).__module__ not in {"typing", "types"}


CHANGING = {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem",
            "popleft", "remove", "setdefault", "update"}  # fmt: skip


def _globals(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _changed(tree: ast.Module, names: set[str]) -> set[str]:
    """Return those of ``names`` that some code changes in place."""
    found: set[str] = set()
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func.value if node.func.attr in CHANGING else None
            elif (isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)) or (
                isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            ):
                target = node.value
            else:
                target = None
            if isinstance(target, ast.Name) and target.id in names:
                found.add(target.id)
    return found


@cache
def _import(name: str) -> ModuleType:
    return importlib.import_module(f"crawler.{name}" if name else "crawler")
