"""word_count.py against a Counter."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from streamlet.testing import TripleRun
from tests.e2e.command import Result
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RunExample = Callable[..., Result]
TripleRunExample = Callable[..., TripleRun]


def counts_of(out: str) -> Counter[tuple[str, int]]:
    """How often each `(word, count)` was printed; behind `1> ` where there are subtasks."""
    return Counter(ast.literal_eval(line[line.index("(") :]) for line in out.splitlines())


def running_counts(text: str) -> Counter[tuple[str, int]]:
    words = Counter(re.findall(r"\w+", text.lower()))
    return Counter((word, n) for word, count in words.items() for n in range(1, count + 1))


def test_without_arguments_it_counts_its_own_lines(run_example: RunExample) -> None:
    lines = run_example("word_count").out.splitlines()
    assert lines[:4] == ["('to', 1)", "('be', 1)", "('or', 1)", "('not', 1)"]
    assert lines[4] == "('to', 2)"
    assert counts_of("\n".join(lines)) == running_counts("to be, or not to be that is the question")


@pytest.mark.parametrize("parallelism", ["1", "3"])
def test_it_counts_the_words_of_many_files(
    run_example: RunExample, tmp_path: Path, parallelism: str
) -> None:
    rng, texts = Random(5), []
    for number in range(3):
        words = rng.choices(["to", "be", "or", "not", "that", "Grüße"], k=500)
        texts.append("\n".join(" ".join(words[i : i + 7]) for i in range(0, 500, 7)))
        (tmp_path / f"{number}.txt").write_text(texts[-1])
    out = run_example("word_count", "-p", parallelism, "--", tmp_path / "*.txt").out
    assert counts_of(out) == running_counts("\n".join(texts))


def test_it_counts_the_license(run_example: RunExample) -> None:
    path = ROOT / "LICENSE"
    assert counts_of(run_example("word_count", "--", path).out) == running_counts(path.read_text())


def test_it_counts_the_same_in_all_three_ways(
    triple_run_example: TripleRunExample, tmp_path: Path
) -> None:
    lines = (ROOT / "LICENSE").read_text().splitlines()
    for number in range(3):
        # A word is in one file: which of two files is read first is not certain.
        path = tmp_path / f"{number}.txt"
        path.write_text("\n".join(re.sub(r"(\w+)", rf"\1_{number}", line) for line in lines[:60]))
    texts = "\n".join(path.read_text() for path in tmp_path.glob("*.txt"))
    run = triple_run_example("word_count", tmp_path / "*.txt")
    assert Counter(run.outputs["print"]) == running_counts(texts)
    assert run.checkpoints >= 3
