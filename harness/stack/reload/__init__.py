"""Changing the Dapr resources of sidecars that run."""
