"""The same stack for ``docker compose``: rendered, and attached to."""
