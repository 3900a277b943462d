"""Attacks on the running services."""
