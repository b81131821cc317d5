"""Items on their way out: checked, encoded as JSON lines, and appended to a sink.

What a callback yields enters (``items``); lines leave, durable before each commit. Start reading at
``sink``, which says what a sink must do; ``jsonlines`` is the sink in a file.
"""
