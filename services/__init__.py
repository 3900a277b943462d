"""The reference apps: a todo system on Dapr. They have no knowledge of the harness."""
