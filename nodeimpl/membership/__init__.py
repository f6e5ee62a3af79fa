"""Membership: who may act here, with which key, and how a key becomes a token.

Votes, accounts and tasks belong to a member id, never to a key. The chain of a member starts with
the charter and goes on by records that the network's operator signed, and, once the coop decides on
its members, by records of its home node that cite the decision; the node keeps every record, so
that others can walk the chain themselves. What ends a membership or a token ends it at once.
"""
