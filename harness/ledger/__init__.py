"""The delivery ledger: where each event and job went, concluded from what was observed."""
