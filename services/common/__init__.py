"""Code shared by the services: settings, database, sidecar."""
