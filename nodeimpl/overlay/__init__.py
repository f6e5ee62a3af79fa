"""The overlay: how records reach every node that should have them, as pure state machines."""
