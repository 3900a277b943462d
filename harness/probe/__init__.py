"""WHAT we observe: event tap, inbox, table probe, eventually, nothing_before a barrier."""
