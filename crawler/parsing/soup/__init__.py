"""BeautifulSoup's trees and tags, the same as its own, in a fraction of the time.

In: a page as UTF-8. Out: the ``BeautifulSoup`` that ``BeautifulSoup(page, "lxml")`` gives, or the
tags that its ``select`` gives. ``builder`` makes a whole tree, of the nodes in ``nodes``.
``lazy_tags`` makes the tags that match a selector, and nothing around them; ``css_to_xpath``
translates the selector. Start at ``builder.build``.

Why: BeautifulSoup makes each node through about ten calls of general methods. They take longer than
the fetch of a page from a fast site, and than all else that a page needs.

How: ``nodes`` makes objects without their constructors, and sets all of their attributes at once.
So it relies on attributes of bs4 that are not all public:

- of every node: ``parent``, ``next_element``, ``previous_element``, ``next_sibling``,
  ``previous_sibling``, ``hidden``;
- of ``Tag``: ``name``, ``prefix``, ``namespace``, ``_namespaces``, ``attrs``, ``contents``,
  ``parser_class``, ``sourceline``, ``sourcepos``, ``known_xml``, ``can_be_empty_element``,
  ``attribute_value_list_class``, ``cdata_list_attributes``, ``preserve_whitespace_tags``,
  ``interesting_string_types``;
- of ``BeautifulSoup``: ``_most_recent_element``, ``original_encoding``;
- of the lxml builder: ``prepare_markup``, ``feed``, ``active_namespace_prefixes``,
  ``_prefix_for_namespace``, ``_replace_cdata_list_attribute_values``, ``set_up_substitutions`` and
  the tables ``DEFAULT_*``; of ``Doctype``: ``_string_for_name_and_ids``.

A ``LazyTag`` has no ``contents`` and no ``next_element`` until ``Tag.__getattr__`` is asked for
them; then it sets them and becomes a ``Tag`` by its ``__class__``.

What checks it: on import, ``builder`` builds a sample page in both ways, and compares every node
and the types of all its attributes. If anything differs, ``builder.FAST`` is False, and
BeautifulSoup does all the work: slower, with the same result. The tests compare both ways on broken
and on real pages, and fail if ``FAST`` is False for the installed version.

How to turn it off: set ``crawler.parsing.soup.builder.FAST = False`` in the spider's module.
"""
