"""One run of a job: start workers, hand out requests, take outcomes, commit, stop."""
