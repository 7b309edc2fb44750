"""What the user writes; every call adds one node to the graph."""
