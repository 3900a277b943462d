"""Mutants: one deliberate error each, and the tests that must turn red because of it.

The lists lie beside this file, one TOML file per area; `python -m tests.mutants` runs them.
"""
