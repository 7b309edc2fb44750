"""FileSink.parquet writes of columns the very files that it writes of their rows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.columns import records_of
from streamlet.connectors.files import FileSink
from streamlet.connectors.files.partitions import Partitions
from streamlet.connectors.files.written_columns import as_written, seen_schema
from streamlet.errors import RecordError
from tests.connectors.files.writing import Run, visible

VALUES: Final[dict[pa.DataType, list[Any]]] = {
    pa.int8(): [None, 0, -1, 100],
    pa.int64(): [None, 1, 2**53 + 1, -(2**40)],
    pa.uint64(): [0, 2**64 - 1, None],
    pa.float64(): [0.5, -0.0, 1.0, float("nan"), None, 2.0**60],
    pa.float32(): [0.5, 3.0, None],
    pa.bool_(): [True, False, None],
    pa.string(): ["", "é", "a/b", None, "__HIVE_DEFAULT_PARTITION__"],
    pa.large_string(): ["x", None],
    pa.timestamp("ns", "UTC"): [1_500, None],
    pa.timestamp("ms", "UTC"): [0, 1_700_000_000_000, None],
    pa.timestamp("us"): [1, None, -(2**61)],
    pa.timestamp("s"): [1, None],
    pa.date32(): [date(2024, 1, 2), None],
    pa.time64("us"): [1],
    pa.decimal128(5, 2): [Decimal("1.50"), None],
    pa.null(): [None],
    pa.dictionary(pa.int32(), pa.string()): ["a", "b", None],
    pa.list_(pa.int64()): [[1], [], None],
    pa.binary(): [b"\xff", None],
}
TYPES: Final = list(VALUES)


@st.composite
def batches(draw: st.DrawFn) -> list[pa.RecordBatch]:
    """A few batches of one schema, or of almost one."""
    kinds = draw(st.fixed_dictionaries({"a": st.sampled_from(TYPES), "b": st.sampled_from(TYPES)}))
    made = []
    for _ in range(draw(st.integers(1, 3))):
        now = dict(kinds)
        if draw(st.integers(0, 3)) == 0:
            now[draw(st.sampled_from(["a", "b", "c"]))] = draw(st.sampled_from(TYPES))
        rows = draw(st.integers(0, 4))
        columns = {
            name: pa.array(
                draw(st.lists(st.sampled_from(VALUES[kind]), min_size=rows, max_size=rows)), kind
            )
            for name, kind in now.items()
        }
        made.append(pa.RecordBatch.from_pydict(columns))
    return made


@st.composite
def schemas(draw: st.DrawFn) -> pa.Schema | None:
    """None, or one that perhaps fits."""
    first, second = draw(st.sampled_from(TYPES)), draw(st.sampled_from(TYPES))
    may_lack = first == pa.null() or draw(st.booleans())
    fields = [pa.field("b", second), pa.field("a", first, nullable=may_lack)]
    return draw(st.sampled_from([None, pa.schema(fields)]))


def written(directory: Path, sink: FileSink, batches: list[Any], columns: list[bool]) -> Any:
    """The files by name, or how writing them failed."""
    run = Run(sink)
    try:
        for batch, as_columns in zip(batches, columns, strict=False):
            if as_columns:
                run.writer.write_columns(batch, None)
            else:
                run.writer.write(records_of(batch), None)
        run.checkpoint(1)
    except (RecordError, OverflowError, ValueError) as error:
        return type(error), str(error)
    finally:
        run.finish()
    return {name: (directory / name).read_bytes() for name in visible(directory)}


@pytest.mark.slow
@given(
    batches=batches(),
    schema=schemas(),
    columns=st.lists(st.booleans(), min_size=3, max_size=3),
    partition_by=st.sampled_from([None, None, "a", ["b", "a"]]),
)
def test_columns_make_the_files_that_their_rows_make(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[pa.RecordBatch],
    schema: pa.Schema | None,
    columns: list[bool],
    partition_by: Any,
) -> None:
    def result(columns: list[bool]) -> Any:
        directory = tmp_path_factory.mktemp("out")
        sink = FileSink.parquet(directory, schema=schema, partition_by=partition_by)
        return written(directory, sink, batches, columns)

    assert result(columns) == result([False] * 3)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (pa.array([1, None], pa.int32()), pa.int64()),
        (pa.array([1], pa.int64()), pa.float64()),
        (pa.array([1.0], pa.float32()), pa.int8()),
        (pa.array(["a"]), pa.large_string()),
        (pa.array([1], pa.timestamp("ms", "UTC")), pa.timestamp("us", "UTC")),
        (pa.nulls(2), pa.date32()),
        (pa.array([Decimal("1.5")]), pa.decimal128(2, 1)),
    ],
)
def test_columns_that_need_no_python_values_are_cast(given: pa.Array, wanted: pa.DataType) -> None:
    assert as_written(given, pa.field("a", wanted)).type == wanted


def test_types_are_seen_in_columns_as_in_their_values() -> None:
    columns = {
        "n": pa.array([1], pa.int8()),
        "x": pa.array([None, 0.5], pa.float32()).slice(1),
        "at": pa.array([1], pa.timestamp("ms", "UTC")),
        "none": pa.array([None], pa.string()),
    }
    kinds = [pa.int64(), pa.float64(), pa.timestamp("us", "UTC"), pa.null()]
    assert seen_schema(pa.RecordBatch.from_pydict(columns)) == pa.schema(
        zip(columns, kinds, strict=True)
    )
    decimals = pa.RecordBatch.from_pydict({"d": [Decimal("1.5")]})
    assert seen_schema(decimals) is None
    assert seen_schema(pa.RecordBatch.from_arrays([pa.array([1])] * 2, ["a", "a"])) is None


def test_partitions_of_columns_are_those_of_rows_in_order_of_their_first_records() -> None:
    records = pa.RecordBatch.from_pydict({"a": ["y", None, "x", "y"], "n": [1, 2, 1, 1]})
    partitions = Partitions(["a", "n"])
    groups = partitions.group_columns(records)
    assert groups is not None
    by_column = {name: group.to_pylist() for name, group in groups.items()}
    by_row = partitions.group(records.to_pylist())
    assert list(by_column.items()) == list(by_row.items())
    assert Partitions("missing").group_columns(records) is None


def test_a_batch_of_columns_longer_than_a_file_is_cut(tmp_path: Path) -> None:
    records = pa.RecordBatch.from_pydict({"n": list(range(100_000))})
    written(tmp_path, FileSink.parquet(tmp_path, roll_size=200_000), [records] * 2, [False, True])
    paths = sorted(tmp_path.glob("part-*"), key=lambda path: int(path.stem.split("-")[-1]))
    rows = [pq.read_metadata(path).num_rows for path in paths]
    assert rows == [100_000, 25_000, 25_000, 25_000, 25_000]
    assert pq.read_table(paths[-1])["n"].to_pylist() == list(range(75_000, 100_000))


def test_the_sink_says_why_it_needs_rows(tmp_path: Path) -> None:
    assert FileSink.parquet(tmp_path, partition_by=["a", "b"]).rows_because is None
    by_function = FileSink.parquet(tmp_path, partition_by=lambda record: record["a"])
    assert by_function.rows_because == "partition_by is not by field names"
    assert FileSink.csv(tmp_path).rows_because == "text is encoded record by record"
