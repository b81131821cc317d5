"""The ``crawl`` command: arguments in, text and an exit status out.

``main`` has the commands; those about sessions are in ``session_commands``. ``configure`` makes a
RunConfig of the arguments, which the engine runs. ``progress`` shows the run on a terminal, and
``report`` writes its summary and the answers of ``crawl status``, ``list`` and ``sessions``. Start
reading at ``main.run``.
"""
