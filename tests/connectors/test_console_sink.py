"""ConsoleSink: what a line looks like, and where it goes."""

from __future__ import annotations

import io

import pytest

from streamlet.connectors.console import ConsoleSink
from streamlet.errors import FatalError
from streamlet.sink import WriterContext


@pytest.mark.parametrize(
    ("label", "parallelism", "line"),
    [
        ("", 1, "5\n"),
        ("late", 1, "late> 5\n"),
        ("", 4, "2> 5\n"),
        ("late", 4, "late:2> 5\n"),
    ],
)
def test_a_line_names_label_and_subtask(label: str, parallelism: int, line: str) -> None:
    stream = io.StringIO()
    writer = ConsoleSink(label, stream).create_writer(WriterContext("r", 1, parallelism))
    writer.write([5], None)
    assert stream.getvalue() == line


def test_lines_are_flushed_with_each_batch() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    writer = ConsoleSink("", stream).create_writer(WriterContext("r", 0, 1))
    writer.write([{"a": 1}, "b"], [1, 2])
    assert raw.getvalue() == b"{'a': 1}\nb\n"


def test_standard_output_is_looked_up_when_writing(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleSink("x").create_writer(WriterContext("r", 0, 1)).write([1], None)
    assert capsys.readouterr().out == "x> 1\n"


def test_a_closed_pipe_ends_the_job_and_is_no_reason_to_restart() -> None:
    class ClosedPipe(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    writer = ConsoleSink("", ClosedPipe()).create_writer(WriterContext("r", 0, 1))
    with pytest.raises(FatalError, match="nobody reads"):
        writer.write([5], None)


def test_it_has_nothing_to_commit() -> None:
    writer = ConsoleSink().create_writer(WriterContext("r", 0, 1))
    assert list(writer.prepare_commit()) == []
