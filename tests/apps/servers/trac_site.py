# mypy: ignore-errors
"""Trac with a wiki and tickets. The login is HTTP's Basic, followed by a cookie."""

import base64
import hashlib
import sys

from serving import FOLDER, PASSWORD, USER, content, count_login, serve
from trac.env import Environment, open_environment
from trac.perm import PermissionSystem
from trac.ticket.model import Ticket
from trac.web.auth import BasicAuthentication, LoginModule
from trac.web.main import dispatch_request
from trac.web.standalone import AuthenticationMiddleware
from trac.wiki.model import WikiPage

HOME = FOLDER / "trac"
RIGHTS = [
    *("WIKI_VIEW", "WIKI_CREATE", "WIKI_MODIFY", "WIKI_DELETE", "WIKI_RENAME", "SEARCH_VIEW"),
    *("TICKET_VIEW", "TICKET_CREATE", "TICKET_MODIFY", "TIMELINE_VIEW", "ROADMAP_VIEW"),
]
"""All but REPORT_VIEW: reports are closed to the account."""


def lay():
    env = Environment(str(HOME), create=True, options=[("trac", "database", "sqlite:db/trac.db")])
    rights = PermissionSystem(env)
    for user, action in list(rights.get_all_permissions()):
        rights.revoke_permission(user, action)
    for action in RIGHTS:
        rights.grant_permission(USER, action)
    for name, text in content():
        page = WikiPage(env, name)
        page.text = text
        page.save("boss", "written")
    for number in range(3):
        ticket = Ticket(env)
        ticket.populate({"summary": f"Ticket {number}", "reporter": "boss", "status": "new"})
        ticket.insert()
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    (FOLDER / "htpasswd").write_text(f"{USER}:{{SHA}}{digest}\n")


def application(environ, start_response):
    environ["trac.env_path"] = str(HOME)
    return dispatch_request(environ, start_response)


def counted(method):
    def login(self, req):
        method(self, req)
        count_login()

    return login


if __name__ == "__main__":
    if sys.argv[2:] == ["lay"]:
        lay()
    else:
        LoginModule._do_login = counted(LoginModule._do_login)
        open_environment(str(HOME), use_cache=True)
        passwords = BasicAuthentication(str(FOLDER / "htpasswd"), "trac")
        serve(AuthenticationMiddleware(application, {"trac": passwords}, "trac"))
