"""A topology as files for somebody else to run: compose and Kubernetes."""
