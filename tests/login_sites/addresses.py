"""The addresses of a site's pages by their names, as front controllers and others write them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.login_sites.design import Address

_PATHS = {"home": "/", "login": "/accounts/login", "door": "/dashboard/login"}
_NAMES = {path: name for name, path in _PATHS.items()}
_PARAMETERS = {
    "front controller": ("/index.php", "page"),
    "query": ("/", "view"),
    "wiki": ("/doku.php", "id"),
}
_ACTIONS = {"login", "logout"}
"""The actions of a wiki on a page."""


def path_of(kind: Address, name: str, **parameters: str) -> str:
    """Return the path and query of the page called ``name``: ``home``, ``p3``, ``login``, …"""
    if kind == "path":
        number = name.removeprefix("p")
        path = f"/p/{number}" if number.isdigit() else _PATHS.get(name, f"/{name}")
        return path + ("?" + urlencode(parameters) if parameters else "")
    script, parameter = _PARAMETERS[kind]
    if kind == "query" and name == "home":
        return script + ("?" + urlencode(parameters) if parameters else "")
    query = {parameter: name}
    if kind == "wiki" and name in _ACTIONS:
        query = {parameter: "home", "do": name}
    return f"{script}?{urlencode({**query, **parameters})}"


def name_of(kind: Address, path: str) -> tuple[str, dict[str, str]]:
    """Return the name of the page at ``path``, and the other parameters. Undoes ``path_of``."""
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query))
    if kind == "path":
        number = parts.path.removeprefix("/p/")
        name = f"p{number}" if number.isdigit() else _NAMES.get(parts.path, parts.path[1:])
        return name, query
    script, parameter = _PARAMETERS[kind]
    if parts.path not in (script, "/"):
        return "missing", query
    name = query.pop(parameter, "home")
    return (query.pop("do", name) if kind == "wiki" else name), query
