"""The links that a job that logs in does not follow, as a GET of them may act.

A URL goes in; out comes the reason not to follow it. Start reading at ``links``, the filter;
``addresses`` tells by the URL what a link may do, with the words of ``words.txt``, and ``pages`` by
the page that has it. ``shapes`` names the links that were not followed.
"""
