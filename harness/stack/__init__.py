"""A running system: planned, started, attached to, and seen by a test."""
