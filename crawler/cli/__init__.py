"""The ``crawl`` command: arguments in, text and an exit status out.

Start reading at ``main.run``. ``main`` has the commands, ``session_commands`` those about sessions,
``options`` the options that they share. ``configure`` builds a RunConfig from the arguments, which
the engine runs. ``progress`` shows the run on a terminal; ``report`` writes its summary and the
output of ``crawl status``, ``list`` and ``sessions``. ``new`` writes a first spider.
"""
