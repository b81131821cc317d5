"""Who the crawler is at a site: accounts, secrets, login, and noticing that a session has ended.

In: a spider's ``login`` and ``is_logged_out``, and its accounts. Out: a ``Session``, which is a
``requests.Session`` with what fetches need; its cookies and login leave it as data, for the store.

Start with ``login.Login.turn``: a request is fetched while logged in, and its response is judged.
``login_progress`` has the table of a login's states. ``concurrency`` orders a session's fetches.
"""
