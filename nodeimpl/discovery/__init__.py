"""Services that members named: found over names, node records and cards, answered with all proofs.

It keeps nothing but an index of what stands, and asks the domains below by protocols of its own.
Source: ADR 0039.
"""
