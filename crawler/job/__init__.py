"""One job on disk and the spider that it runs: found, recorded, locked, checked."""
