"""The fetching process: it sends all requests, and has the sessions and their connections.

In go tasks from the engine; out go outcomes. In between, a response goes as a page to one of the
workers, which parse on all cores.

Start reading at ``process.FetchProcess``, which connects the engine, the ``fetcher`` and the
``workers``, and has a lane of tasks for each host (``lanes``). ``Fetcher.begin`` sends a task by
the ``sender``, and that of a session that logs in through ``crawler.session``; ``session_pool``
keeps the sessions, ``hosts`` the rules of robots.txt, which ``robots_fetcher`` fetches. ``calls``
answers callbacks that use ``response.session``. ``processes`` has the main functions.
"""
