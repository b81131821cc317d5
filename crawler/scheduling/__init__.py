"""Which request is next, when, at which worker, and what that worker must know first."""
