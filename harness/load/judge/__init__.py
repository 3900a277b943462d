"""Judges: whether a run is valid, what operations cost, and whether budgets are kept."""
