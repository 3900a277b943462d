"""The web page for a user's tasks, and the gateway from browsers to the other services."""
