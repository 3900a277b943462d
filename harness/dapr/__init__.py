"""HOW to talk to Dapr: clients, the health ladder, and resources."""
