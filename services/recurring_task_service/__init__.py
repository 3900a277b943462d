"""Completed tasks of a series become their next occurrence."""
