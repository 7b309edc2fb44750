"""A sink that writes records to the console, one line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from streamlet.errors import FatalError
from streamlet.sink import Sink, SinkWriter, WriterContext


class ConsoleSink(Sink[Any]):
    """Writes `label> record` per record; with several subtasks `label:2> record`, counted from 1.

    Lines reach the stream at the end of every batch. Without a `stream` it is whatever
    `sys.stdout` is when the batch is written, so redirection works. After a restart the records
    since the last checkpoint are written again.

    >>> ConsoleSink("late").create_writer(WriterContext("run", 0, 1)).write([5, 6], None)
    late> 5
    late> 6
    """

    name = "print"

    def __init__(self, label: str = "", stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        subtask = str(ctx.subtask_index + 1) if ctx.parallelism > 1 else ""
        prefix = ":".join(part for part in (self._label, subtask) if part)
        return _ConsoleWriter(f"{prefix}> " if prefix else "", self._stream)


class _ConsoleWriter(SinkWriter[Any]):
    def __init__(self, prefix: str, stream: TextIO | None) -> None:
        self._prefix = prefix
        self._stream = stream

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        stream = sys.stdout if self._stream is None else self._stream
        prefix = self._prefix
        # One write per batch: lines of subtasks and of other programs do not cut each other.
        text = "".join([f"{prefix}{value}\n" for value in values])
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            raise FatalError(
                "nobody reads what is printed any more (`| head` ends so); the job stops here"
            ) from None
