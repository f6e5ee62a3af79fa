"""The contract: all that crosses a process boundary, and nothing else.

Types, asks, answers, events, refusals and endpoints as values; one module per domain. Node and
client share it; it depends on the standard library and pydantic alone.
"""
