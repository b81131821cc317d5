"""A small bookshop with a login, served on loopback: for the quick start and for tests.

Floors, from the ground: ``content`` (what it sells), ``shop`` (the whole of it, and what a crawl
of it must find), ``pages`` (HTML), ``sessions`` (who is logged in), ``site`` (paths to answers),
``server`` (HTTP) and ``__main__``, the guided tour.
"""
