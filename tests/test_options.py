"""The table of settings is whole."""

from __future__ import annotations

from streamlet.options import OPTIONS


def test_every_option_says_what_it_means_in_a_line() -> None:
    for option in OPTIONS.values():
        assert option.comment.endswith(".")
        assert len(option.comment) < 95


def test_names_are_written_as_flink_writes_them() -> None:
    for name, option in OPTIONS.items():
        assert name == option.name == name.lower()
        assert "_" not in name
