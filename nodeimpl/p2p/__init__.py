"""Peer to peer: a transport whose addresses are keys, and the questions peers ask over it."""
