"""The API server of a cluster: what it accepts, and what it says of what it refuses."""
