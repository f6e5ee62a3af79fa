"""Witnessing: what nodes show each other of their journals, and what is proven of them."""
