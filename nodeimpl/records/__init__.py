"""Records: what members publish and look up in the network, and what the node itself says there."""
