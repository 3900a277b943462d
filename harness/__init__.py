"""dapr-harness: a real Dapr system on one machine, started, tested, observed and explained."""
