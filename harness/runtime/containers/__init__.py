"""The containers runtime: the only room that imports testcontainers and docker."""
