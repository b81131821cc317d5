"""``python -m crawler`` is the ``crawl`` command."""

from crawler.cli.main import main

# Worker processes that are spawned import this module again, and must not crawl in turn.
if __name__ == "__main__":
    main()
