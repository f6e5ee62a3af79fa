"""Measurements of what an operator waits for; `python -m bench` runs them. Never a test."""
