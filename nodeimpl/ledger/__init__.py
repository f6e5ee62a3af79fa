"""The ledger: entries that sum to zero, who may post them, and what is answered of them."""
