"""Where records come from and go: one module per system."""
