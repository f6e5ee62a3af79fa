"""Exchanges between coops: offered, accepted, decided, posted on all sides, settled and netted."""
