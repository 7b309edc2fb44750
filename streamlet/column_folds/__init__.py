"""Aggregates over batches of columns: the results of folding row by row, at the speed of arrays."""
