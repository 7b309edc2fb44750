"""Drives file sinks as the engine does, for their tests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamlet.connectors.files import FileSink
from streamlet.connectors.files.writer import FileSinkWriter
from streamlet.sink import RestoreContext, WriterContext


class SteppedClock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.milliseconds = 0

    def now_ms(self) -> int:
        return self.milliseconds

    def monotonic_s(self) -> float:
        return self.milliseconds / 1000


class Run:
    """One attempt of a job whose only operator is the sink's one writer."""

    def __init__(
        self,
        sink: FileSink,
        run_id: str = "r1",
        earlier: Sequence[str] = (),
        restored_checkpoint: int = 0,
        later_output: str = "refuse",
    ) -> None:
        self.sink = sink
        sink.recover(RestoreContext(restored_checkpoint, [*earlier, run_id], later_output))
        self.ctx = WriterContext(run_id, 0, 1, restored_checkpoint + 1)
        writer = sink.create_writer(self.ctx)
        assert isinstance(writer, FileSinkWriter)
        self.writer = writer

    def write(self, *values: Any) -> None:
        """One batch."""
        self.writer.write(list(values), None)

    def prepare(self, checkpoint_id: int) -> list[Any]:
        """Barrier up to ack; what the checkpoint holds."""
        self.ctx.checkpoint_id = checkpoint_id
        self.writer.flush()
        committables = list(self.writer.prepare_commit())
        self.writer.sync()
        self.ctx.checkpoint_id = checkpoint_id + 1
        return committables

    def checkpoint(self, checkpoint_id: int) -> None:
        """A checkpoint that completes."""
        self.sink.commit(self.prepare(checkpoint_id))

    def kill(self) -> None:
        """Ends as a killed process does: buffers are lost, nothing is tidied, the lock is free."""
        for one in self.writer._open.values():
            file = one.file.file
            assert isinstance(file, io.BufferedWriter)
            file.raw.close()
        self.sink.close()

    def finish(self) -> None:
        """The way out of a run that was not killed."""
        self.writer.close()
        self.sink.close()


def visible(directory: Path) -> list[str]:
    """Relative names of the files that readers see."""
    return sorted(
        p.relative_to(directory).as_posix()
        for p in directory.rglob("*")
        if p.is_file() and not p.name.startswith(".")
    )


def hidden(directory: Path) -> list[str]:
    """Relative names of the files being written."""
    return sorted(
        p.relative_to(directory).as_posix() for p in directory.rglob(".part-*") if p.is_file()
    )


def content(directory: Path) -> str:
    """The visible text in the order of the file names' checkpoints and numbers."""
    paths = [directory / name for name in visible(directory)]
    paths.sort(key=lambda p: [int(n) for n in p.name.split(".")[0].split("-")[-2:]])
    return "".join(path.read_text() for path in paths)
