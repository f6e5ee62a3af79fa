"""Agreements that a node keeps: of the coops whose home it is, and those it stands between."""
