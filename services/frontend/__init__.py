"""One page for the tasks of a user, and the way from a browser to the other services."""
