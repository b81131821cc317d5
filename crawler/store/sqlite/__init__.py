"""The store of a single machine: one SQLite file in the job's folder.

Records go in and come out as rows. Start reading at ``store``, which opens the file and holds the
groups (``queue``, ``hosts``, ``seen``, ``sessions``); ``schema`` has the tables.
``integrity`` checks the file before it is opened, ``row_counts`` its content; ``tombstones`` and
``checkpoints`` make commits fast.
"""
