"""WHEN a thing is ready: one check per way of asking."""
