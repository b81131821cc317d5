"""Run a job: start fetching, dispatch requests, handle outcomes, commit, stop.

In goes a Job; out come its output and its store, committed together, and a Summary. Start reading
at ``engine.Engine.steps``, the loop. Its parts, in the order of a page: ``seeding`` adds the first
requests, ``dispatcher`` sends those whose turn it is through a ``fetcher_pool``, ``outcomes`` takes
the answers, ``committer`` makes them durable. ``signals`` has Ctrl-C, ``prefork`` processes in
reserve; ``manual_login`` logs in at a terminal, without a run.
"""
