"""What a person may look at in a stack that is up, and do to it."""
