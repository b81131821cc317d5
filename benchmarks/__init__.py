"""Side by side with other crawlers: how fast, how much memory, and what a SIGKILL costs."""
