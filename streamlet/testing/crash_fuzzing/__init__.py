"""A user's test run again and again, its jobs killed at seeded points."""
