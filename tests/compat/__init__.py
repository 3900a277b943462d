"""Apps as users of Dapr write them, rebuilt in our own words."""
