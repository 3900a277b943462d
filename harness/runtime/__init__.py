"""WHERE things run: one contract, one file per runtime. Knows nothing of Dapr."""
