"""The overlay's machines, hundreds at a time, in virtual time and seeded bad weather.

The classes of `nodeimpl.overlay` are the ones that run in a node; what is made up here is time, the
links between them, and what goes wrong. One seed is one run. Source: ADR 0028.
"""
