"""WHAT can run: one file per technology. A node describes, a runtime executes."""
