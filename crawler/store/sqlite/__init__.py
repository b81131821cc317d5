"""The store of a single machine: one SQLite file in the job's folder.

Records go in and come out as rows. Start reading at ``store``, which opens the file and holds the
groups (``queue``, ``hosts``, ``sessions``); ``schema`` has the tables. ``integrity`` checks the
file before it is opened; ``checkpoints`` copy the log while the crawl continues.
"""
