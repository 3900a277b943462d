"""HOW to talk to Dapr: clients, readiness checks, and resources."""
