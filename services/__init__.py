"""The reference apps: a todo system on Dapr. They know nothing of the harness."""
