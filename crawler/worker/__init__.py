"""One worker process: a task comes in, an outcome goes out."""
