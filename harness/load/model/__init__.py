"""What the parts of a load run pass to each other: profiles, measurements, results."""
