"""The scheduler with virtual time: against the real one, in Dapr's processes, and by its parts."""
