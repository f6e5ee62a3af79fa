"""The node as others see it: who it is, its links, its readiness, and the world time it keeps.

World time is real time plus an offset that only grows, set by records of a devnet's operator; on
any other network the offset is zero for ever.
"""
