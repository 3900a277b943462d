"""The far end of the wire for the assistant: an endpoint that says what a test wants."""
