"""The federation: which coops belong to it, and what they attest each other."""
