"""Creates the next occurrence of completed tasks in a series."""
