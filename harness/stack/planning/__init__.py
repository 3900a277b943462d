"""What is known about a stack while it is planned, and what each node sees of it."""
