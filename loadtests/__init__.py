"""Load on the reference system: users, profiles, the sink that sees what arrives."""
