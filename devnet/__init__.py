"""A network on one machine: its world as data, its genesis, its supervisor, and ways to attach."""
