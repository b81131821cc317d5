"""Compare the crawler with others: its speed, its memory, and its losses by SIGKILL.

Out: ``RESULTS.md`` with its chart, from the measurements in ``results``. Start reading at
``compare``, whose sections are each a module: ``manuals``, ``member_site``, ``broad_crawl``,
``slow_crawl``, ``many_hosts``, ``startup``, ``load`` and, in ``parts``, ``soup_trees`` and
``frontier``. Each crawl of ``crawlers`` is run by ``measure`` and served by ``site`` (nginx) or
``broad_site``. ``kill`` and ``reuse`` are commands of their own.
"""
