"""The gateway: the one door through which members and operators call a node.

It admits (host, size, rate, token, scope, shape, idempotency), in the order that the contract
declares, runs what a domain bound to the endpoint, and turns refusals into problem documents.
It decides nothing that a domain decides.
"""
