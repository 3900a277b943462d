"""The same system for a cluster: manifests, and a Helm chart of the same objects."""
