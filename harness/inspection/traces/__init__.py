"""Traces of a stack that is up: where spans come from, a table of them, and one as a tree."""
