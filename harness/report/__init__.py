"""WHAT we conclude: pure functions of the journal."""
