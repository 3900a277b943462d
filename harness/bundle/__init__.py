"""The failure bundle: what a test did and what the system did, in one page and one archive."""
