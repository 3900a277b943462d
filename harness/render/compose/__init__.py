"""The same stack as a docker compose project: rendering it, and attaching to it."""
