"""Views: pure functions from values to something to look at. They fetch nothing.

`tokens` is the one place where colours and sizes stand, for pages and terminals alike.
"""
