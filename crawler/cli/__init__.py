"""The crawl command: arguments in, text and an exit status out."""
