"""`make bench`: both sides of every figure in one run.

It reports and asserts nothing. Figures are ratios, or stand beside the floor they are held against.
"""
