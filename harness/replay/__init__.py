"""Replays a failed test from its archive, and compares two runs."""
