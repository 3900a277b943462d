"""WHERE things run: one contract, one file per runtime. It has no knowledge of Dapr."""
