"""Live state: what nodes say, followed as it happens, and turned into the figures of `views`.

A `Live` follows every node of one network. A `Page` makes cards from it. A `Session` keeps one
browser's copy of the cards the same as the page's, whatever carries the messages.
"""
