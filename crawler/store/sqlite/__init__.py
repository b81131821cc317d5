"""The store of a single machine, in one SQLite file."""
