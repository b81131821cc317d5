"""One job on disk, and the spider that it runs.

In goes a RunConfig (``config``): the spider's source (``spider_loader``, ``importing``), the
seeds, the settings, the accounts. Out comes a Job (``job``), which this process alone may run
(``lock``): an open store, an open output, counters. The store keeps a record of the RunConfig
(``record``) and the spider's callbacks (``callback_check``). ``seeds`` reads seed lists in their
formats (``seed_formats``). ``lookup`` and ``session_admin`` answer questions about a job that
need not run. Start reading at ``config``, then ``Job._open``.
"""
