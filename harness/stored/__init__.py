"""What is in the databases of a stack that is up: keys of state stores, and rows of tables.

They are read from the databases themselves, in read-only transactions: Dapr cannot list keys.
"""
