"""What `make bench` compares must be comparable: the repository's engines give the same answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bids
from benchmarks.engines import loop, numpy_batches, streamlet_columns, streamlet_rows
from benchmarks.engines.told import Answer, Workload
from benchmarks.results import Measured, Results, load
from benchmarks.tables import BEGIN, END, Target, all_tables, publish

ROWS = 20_000
WORKLOADS = ("W1", "W2", "W3", "W4", "W5")
ENGINES = {
    "numpy": numpy_batches.WORKLOADS,
    "rows": streamlet_rows.WORKLOADS,
    "columns": streamlet_columns.WORKLOADS,
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bids")
    bids.write_parquet(directory / "bids.parquet", ROWS)
    bids.write_json_lines(directory / "bids.jsonl", ROWS)
    return directory


@pytest.fixture(scope="module")
def expected(directory: Path) -> dict[str, Answer]:
    path = str(directory / "bids.parquet")
    return {name: workload(path) for name, workload in loop.WORKLOADS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_engine_gives_the_answer_of_the_dict_loop(
    workload: str, engine: str, directory: Path, expected: dict[str, Answer]
) -> None:
    program: Workload = ENGINES[engine][workload]
    for name in ("bids.parquet", "bids.jsonl"):
        assert program(str(directory / name)) == expected[workload]


def test_dict_loop_reads_the_same_bids_from_both_kinds_of_file(
    directory: Path, expected: dict[str, Answer]
) -> None:
    path = str(directory / "bids.jsonl")
    assert {name: workload(path) for name, workload in loop.WORKLOADS.items()} == expected


def measured(engine: str, cpu_s: float, rows: int = 1_000_000) -> Measured:
    return Measured("W1", "parquet", engine, rows, [cpu_s], [1.0])


def test_figure_is_without_start_up_and_says_how_many_bids_were_fewer() -> None:
    results = Results(1_000_000, 1, [measured("quick", 1.5), measured("slow", 3.0, 100_000)])
    assert "| quick | 2 | - " in all_tables(results)
    assert "| slow | 0.05 (100,000) | - " in all_tables(results)


def test_engine_without_a_figure_is_named_with_the_reason() -> None:
    absent = Measured("W1", "jsonl", "peer", 10, absent="java is not on this machine")
    tables = all_tables(Results(10, 1, [absent]))
    assert "| peer | - |" in tables
    assert "- peer (W1 jsonl): java is not on this machine" in tables


@pytest.mark.parametrize(
    ("is_slower", "ratio", "is_reached"), [(True, 4.0, False), (False, 0.25, False)]
)
def test_target_compares_cpu_time_per_bid(is_slower: bool, ratio: float, is_reached: bool) -> None:
    target = Target("ours", "ours", "theirs", "parquet", (2,), is_slower)
    results = Results(10, 1, [measured("ours", 3.0), measured("theirs", 6.0, 10_000_000)])
    assert target.ratio(results, "W1") == pytest.approx(ratio)
    assert target.is_reached(ratio, 2) is is_reached


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    results = Results(10, 2, [measured("quick", 1.5)])
    results.save(tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results


def test_tables_replace_only_what_is_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    publish(Results(10, 1, [measured("quick", 1.5, 10)]), page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| quick |" in text
