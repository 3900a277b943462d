"""WHAT we observe: event tap, inbox, table probe, eventually, nothing before a barrier."""
