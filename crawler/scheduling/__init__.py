"""Decide which request goes next, and when.

In go requests and outcomes, from the engine; out come assignments of requests. Start reading at
``frontier``, the face of the package: it holds the hosts at work, with the heads of their queues
from the store. ``scheduler`` chooses the next request, ``politeness`` says when a host may be asked
again, ``retry`` when a failed request is tried again, ``robots_retry`` how long a run waits for a
robots.txt. ``admission`` lets new requests into the store. ``session_registry`` has what the store
keeps of sessions, and knows what the fetching process has of them.
"""
