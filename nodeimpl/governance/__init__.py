"""Governance: proposals, votes and decisions of the assemblies whose home this node is."""
