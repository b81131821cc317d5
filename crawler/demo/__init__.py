"""A small bookshop with a login, served on loopback: for the quick start and for tests.

From the ground up: ``content`` (the books), ``shop`` (the whole catalogue, and the result that a
crawl of it must have), ``pages`` (HTML), ``sessions`` (the visitors that are logged in), ``site``
(paths to responses), ``server`` (HTTP) and ``__main__``, the guided tour. Start reading at
``site``.
"""
