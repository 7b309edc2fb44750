"""Counts words as they come: each word is printed with how often it was seen so far.

streamlet run examples/word_count.py
streamlet run examples/word_count.py -- FILE_OR_GLOB
"""

import re
import sys
from collections.abc import Iterator

from streamlet import StreamExecutionEnvironment
from streamlet.connectors.files import FileSource

LINES = ["to be, or not to be", "that is the question"]


def words(line: str) -> Iterator[tuple[str, int]]:
    for word in re.findall(r"\w+", line.lower()):
        yield word, 1


def main(path: str | None = None) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    lines = env.from_source(FileSource.text(path)) if path else env.from_collection(LINES)
    lines.uid("lines").flat_map(words).key_by(0).sum(1).uid("count").print().uid("print")
    env.execute("word-count")


if __name__ == "__main__":
    main(*sys.argv[1:])
