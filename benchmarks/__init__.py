"""Measurements: ratios in one run, never absolute times, because machines differ and are noisy."""
