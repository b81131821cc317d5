"""The state of a job, durable: queues, hosts, sessions, failures and counters.

Records (``crawler.records``) go in and come out; every change is part of a transaction. Start
reading at ``protocols``, which says what a store must do; ``sqlite`` is the store of a
single machine.
"""
