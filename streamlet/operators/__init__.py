"""The logic: synchronous, with no clock, no socket and no event loop of its own."""
