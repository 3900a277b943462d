"""A run file of `dapr run -f` as a topology."""
