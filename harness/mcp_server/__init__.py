"""What agents may look at and do in a stack that is up, by the Model Context Protocol."""
