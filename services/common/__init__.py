"""What both services share: their settings, their database, their sidecar."""
