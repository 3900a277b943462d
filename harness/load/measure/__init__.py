"""Measures: records of requests, figures, and where acknowledged requests arrive."""
