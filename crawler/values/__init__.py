"""Check the values that a spider gives: each is taken for the plain one that it means, or refused.

What enters is what a callback or a login has yielded or set. What leaves are text, numbers and data
that can be stored and sent to other processes; or a SpiderError, a sentence that names the value.
Start reading at ``request_check.check_request``.
"""
