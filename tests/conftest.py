"""Settings every test shares: hypothesis draws the same examples each time, without a deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("house")
