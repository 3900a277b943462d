"""Attacks on the reference system: what was acknowledged is counted again after the fire.

`python -m tests.faults --seed 1` (or `make soak SEED=1`) is the large one; the tests here run it
small.
"""
