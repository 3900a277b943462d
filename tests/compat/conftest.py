"""The foreign project has a conftest.py and tests of its own, which are for a pytest of its own."""

collect_ignore = ["foreign"]
