"""The benchmark's work as a user of another crawler would write it, run as a subprocess."""
