"""Files as sources and sinks: JSON lines, CSV, Parquet and plain text."""

from streamlet.connectors.files.sink import FileSink
from streamlet.connectors.files.source import FileSource

__all__ = ["FileSink", "FileSource"]
