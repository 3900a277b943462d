"""Sends load: timing, HTTP, Locust and the references as processes."""
