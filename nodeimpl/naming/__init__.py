"""Naming: names under a coop, countersigned by its home node and answered by every node."""
