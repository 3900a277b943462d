"""Known bugs of released versions of Dapr: red on a version that has one, green on one without.

``make escapes`` runs them; docs/escapes.md has the table.
"""
