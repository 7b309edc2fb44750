"""A user's whole job in virtual time: stopped, restored elsewhere, and counted on the way."""
