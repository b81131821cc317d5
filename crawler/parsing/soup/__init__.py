"""Build BeautifulSoup's trees and tags, equal to its own, in a fraction of the time.

In goes a page as UTF-8. Out comes the same as from ``BeautifulSoup(page, "lxml")``, or the same
tags as from its ``select``. Start reading at ``builder.build``, which builds a whole tree from
``nodes``. ``lazy_tags`` makes only the tags that match a selector, which ``css_to_xpath``
translates.

Why: BeautifulSoup creates each node by about ten calls of general methods. They take longer than
the fetch of a page from a fast site, and than all other work on it.

How: ``nodes`` creates objects without their constructors, and sets all their attributes at once. So
it relies on attributes of bs4 that are not all public:

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

A ``LazyTag`` has no ``contents`` and no ``next_element`` until ``Tag.__getattr__`` is called for
one of them; then it sets them and becomes a ``Tag`` by its ``__class__``.

The check: on import, ``builder`` builds a sample page in both ways, and compares every node and the
types of all its attributes. If anything differs, ``builder.FAST`` is False, and BeautifulSoup does
all the work: slower, with the same result. The tests compare both ways on broken and on real pages,
and fail if ``FAST`` is False for the installed version.

How to turn it off: set ``crawler.parsing.soup.builder.FAST = False`` in the spider's module.
"""
