"""The words in URLs: what a link may do, and the parts that differ from link to link. Pure.

A URL goes in; out come the word by which it logs out or changes something (``signs``), or its
shape, the part that it shares with its like (``shapes``). Both read the words of ``words.txt``.
Start reading at ``words``.
"""
