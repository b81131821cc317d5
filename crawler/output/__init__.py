"""Write items and run.log: what a run leaves beside its store.

In go the items of a callback; out come lines that are durable before the job commits their page.
Start reading at ``items``, which checks and encodes in the worker. ``sink`` says what a sink must
do; ``jsonlines`` is the sink in a file, and ``file_lock`` lets one process at a time write it.
``log`` is the log of all processes of a run.
"""
