"""A savepoint's rows say in JSON what their bytes hold."""

import pyarrow as pa

from streamlet.checkpoint.readable import SAVEPOINT_ROWS, readable
from streamlet.state.codec import encode
from streamlet.state.rows import STATE_ROWS


def rows_of(*parts: tuple[bytes, bytes, bytes, bytes]) -> pa.RecordBatch:
    keys, namespaces, map_keys, values = zip(*parts, strict=True)
    count = len(parts)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(["totals"] * count, pa.string()),
            pa.array([7] * count, pa.uint16()),
            *(pa.array(column, pa.binary()) for column in (keys, namespaces, map_keys, values)),
            pa.array([False] * count, pa.bool_()),
        ],
        schema=STATE_ROWS,
    )


def test_keys_windows_and_values_are_json() -> None:
    rows = rows_of((encode(("ann", 3)), encode((0, 60_000)), b"", encode({"n": 2, "s": {1}})))
    [row] = readable(rows, "sessionize").to_pylist()
    assert row["operator"] == "sessionize"
    assert (row["key_json"], row["namespace_json"]) == ('["ann",3]', "[0,60000]")
    assert row["map_key_json"] is None
    assert row["value_json"] == '{"n":2,"s":[1]}'


def test_the_exact_bytes_stand_beside() -> None:
    rows = rows_of((encode("a"), b"", b"", encode(1)), (encode("b"), b"", encode("m"), encode(2)))
    shown = readable(rows, "op")
    assert shown.schema == SAVEPOINT_ROWS
    assert pa.Table.from_batches([shown]).select(STATE_ROWS.names) == pa.Table.from_batches([rows])


def test_what_only_the_jobs_codec_reads_has_no_json() -> None:
    [row] = readable(rows_of((encode("a"), b"", b"", b"\xc1secret")), "op").to_pylist()
    assert row["value_json"] is None
    assert row["value"] == b"\xc1secret"


def test_keys_that_json_does_not_have_are_written_as_python_does() -> None:
    [row] = readable(rows_of((encode("a"), b"", b"", encode({(1, 2): "x"}))), "op").to_pylist()
    assert row["value_json"] == '{"(1, 2)":"x"}'
