"""Load on the reference system: users, profiles, and the sink that records arrivals."""
