"""The node's word on its own journal: signed heads, and proofs against them."""
