"""The containers runtime: the only package that imports testcontainers and docker."""
