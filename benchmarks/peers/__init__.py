"""The benchmark's work as users of other crawlers would write it; each runs as a subprocess."""
