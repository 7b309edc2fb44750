"""Operators that are fed rows, columns or both, and scripts that feed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import groupby, pairwise
from operator import itemgetter
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from streamlet.columns import to_rows
from streamlet.elements import Batch, ColumnBatch
from streamlet.graph import Hash
from streamlet.operators.operator import Operator
from streamlet.operators.session import SessionWindowOperator
from streamlet.runtime.partition import HashRouter
from streamlet.state.flat_table import FlatTable
from streamlet.state.log import Generation
from streamlet.testing import OperatorHarness
from streamlet.testing.script import At
from tests.state.colliding_keys import colliding

Form: TypeAlias = Literal["rows", "columns", "mixed"]
Kinds: TypeAlias = list[tuple[pa.DataType, st.SearchStrategy[Any]]]

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAN: Final = float("nan")
KEYS: Final[Kinds] = [
    (pa.int64(), st.integers(0, 2)),
    (pa.uint8(), st.integers(0, 2)),
    (pa.bool_(), st.one_of(st.none(), st.booleans())),
    (pa.float64(), st.sampled_from([0.0, -0.0, 1.0, 2.5, None])),
    (pa.string(), st.sampled_from(["a", "b", "ä", None])),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b"])),
    (pa.binary(), st.sampled_from([b"a", b""])),
    (pa.date32(), st.just(date(2026, 1, 1))),
    (pa.timestamp("us", "UTC"), st.just(NOON)),
    (pa.timestamp("ns", "+02:00"), st.just(NOON.astimezone(timezone(timedelta(hours=2))))),
    (pa.null(), st.none()),
]
"""Some of them meet: 1 and True and 1.0, 0.0 and -0.0, noon in two zones."""

PRICES: Final[Kinds] = [
    (pa.int64(), st.one_of(st.none(), st.integers(-5, 5))),
    (pa.int64(), st.sampled_from([2**53 + 1, 2**62, 2**63 - 1, -(2**63), 0, None])),
    (pa.uint64(), st.sampled_from([2**64 - 1, 2**63, 1])),
    (pa.int8(), st.integers(-128, 127)),
    (pa.float64(), st.one_of(st.none(), st.floats(-9, 9))),
    (pa.float64(), st.sampled_from([NAN, 0.0, -0.0, 1e308, float("-inf"), 0.1, None])),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.one_of(st.none(), st.booleans())),
    (pa.null(), st.none()),
]
ENDS: Final = [-(2**63) + 1, -(2**63) + 9, -(2**61), 2**61, 2**61 + 1, 2**63 - 20, 2**63 - 1]
"""Of time as 64 bits have it, and of the times that columns are good for."""
HAPPENINGS: Final = ["records"] * 5 + ["watermark"] * 4 + ["restore", "freeze", "write", "unfreeze"]


MOST_KEYS: Final = 300
CROWDS: Final[list[tuple[pa.DataType, Callable[[int], Any]]]] = [
    (pa.int64(), colliding),
    (pa.int64(), lambda number: number - 2**63),
    (pa.uint64(), lambda number: number + 2**63 - 150),
    (pa.int16(), lambda number: number - 150),
    (pa.int64(), lambda number: number or None),
    (pa.string(), str),
]
"""Keys for numbers; of some kinds the same, and some that are too large for 64 bits."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records that come one after the other; how they are cut into batches is another matter."""

    records: pa.RecordBatch
    times: list[int]


Step: TypeAlias = Records | tuple[str, int]
"""Or ("watermark", time), ("restore", 0), ("freeze", 0), ("write", 0), ("unfreeze", 0)."""


@st.composite
def steps(draw: Any, far_times: Sequence[int] = ()) -> list[Step]:
    """What happens to an operator as time goes by; keys and prices change their types."""
    # Whole numbers often: with them columns have most ways of their own.
    key_kinds = draw(st.lists(st.sampled_from([*KEYS, *KEYS[:1] * 9]), min_size=1, max_size=2))
    price_kinds = draw(
        st.lists(st.sampled_from([*PRICES, *PRICES[:1] * 5]), min_size=1, max_size=3)
    )
    found: list[Step] = []
    now_ms = draw(st.integers(-25, 25))
    for what in draw(st.lists(st.sampled_from(HAPPENINGS), min_size=6, max_size=24)):
        now_ms += draw(st.integers(0, 6))
        times = st.integers(now_ms - 12, now_ms + 6)
        times = st.one_of(times, st.sampled_from(far_times)) if far_times else times
        if what == "records":
            found.append(draw(records(key_kinds, price_kinds, times)))
        elif what == "watermark":
            found.append(("watermark", draw(times)))
        else:
            found.append((what, 0))
    return found


@st.composite
def records(draw: Any, key_kinds: Kinds, price_kinds: Kinds, times: Any) -> Records:
    """A few, with one type of key and one of price."""
    key_type, keys = draw(st.sampled_from(key_kinds))
    price_type, prices = draw(st.sampled_from(price_kinds))
    rows = draw(
        st.lists(st.tuples(keys, st.sampled_from("xy"), prices, times), min_size=1, max_size=8)
    )
    auctions, channels, values, stamps = map(list, zip(*rows, strict=True))
    columns = {
        "auction": pa.array(auctions, key_type),
        "channel": pa.array(channels),
        "price": pa.array(values, price_type),
    }
    return Records(pa.record_batch(columns), stamps)


def crowded_steps(random: Random) -> list[Step]:
    """The same with hundreds of keys: their index grows, and many are removed from it."""
    found: list[Step] = []
    # Those that collide often: with them an index has most ways to go wrong.
    now_ms, kinds = 0, random.choices([*CROWDS, *CROWDS[:1] * 4], k=2)
    for what in random.choices(HAPPENINGS, k=20):
        now_ms += random.randrange(8)
        if what == "records":
            keys = [random.randrange(MOST_KEYS) for _ in range(random.randrange(1, MOST_KEYS))]
            found.append(_crowd(keys, random.choice(kinds), now_ms, random))
        else:
            found.append((what, now_ms - 6))
    return found


def _crowd(
    keys: list[int], kind: tuple[pa.DataType, Callable[[int], Any]], now_ms: int, random: Random
) -> Records:
    key_type, key_of = kind
    columns = {
        "auction": pa.array(map(key_of, keys), key_type),
        "channel": pa.array(random.choices("xy", k=len(keys))),
        "price": pa.array(random.choices(range(-5, 6), k=len(keys))),
    }
    return Records(pa.record_batch(columns), [now_ms - random.randrange(12) for _ in keys])


@dataclass
class Fed:
    """One operator, which gets all records in one form, or now in one and now in the other."""

    create: Callable[[], Operator]
    key_fields: tuple[str, ...]
    form: Form
    random: Random
    backend: str = "heap"
    budget: int = 4_096
    _frozen: list[tuple[Generation, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.harness = OperatorHarness(
            self.create, key_by=lambda _: None, backend=self.backend, firing_budget=self.budget
        )
        select = itemgetter(*self.key_fields) if self.key_fields else lambda _: None
        self._router = HashRouter(1, 128, Hash(select, "", self.key_fields))

    def __enter__(self) -> Fed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.harness.close()

    def take(self, step: Step) -> None:
        if isinstance(step, Records):
            for batch in self._batches(step):
                self.harness._operator.process_batch(0, batch, self.harness._out)
                self.harness._after_call()
        elif step[0] == "watermark":
            self.harness.watermark(step[1])
        elif step[0] == "restore":
            self._end_write(is_written=True)
            self.harness.restore(self.harness.snapshot())
        elif step[0] == "freeze":
            self._frozen.append((generation := self._log.freeze(), _shown(generation)))
        else:
            self._end_write(is_written=step[0] == "write")

    def seen(self) -> str:
        """All that it has given since the last call, and how many records it has dropped."""
        dropped = self.harness.metrics.counter("numLateRecordsDropped").count
        main: list[Any] = self.harness.output_with_watermarks()
        if isinstance(self.harness._operator, SessionWindowOperator):
            # TM-4: in which order keys fire at one time is not promised
            runs = groupby(main, lambda step: step.timestamp if isinstance(step, At) else None)
            main = [step for _, run in runs for step in sorted(run, key=repr)]
        return repr((main, self.harness.side_outputs(), dropped))

    def state(self) -> dict[str, list[str]]:
        """What keyed state holds, by table; of what is dirty, each entry in one place only."""
        tables = self._log._tables
        for table in tables.values():
            assert not _entries(table, table.dirty) & _entries(table, table.arrays)
        return {name: sorted(map(repr, table.items())) for name, table in tables.items()}

    @property
    def _log(self) -> Any:
        assert self.harness._log is not None
        return self.harness._log

    def _batches(self, step: Records) -> Iterator[Batch]:
        columns = ColumnBatch(step.records, np.array(step.times, np.int64))
        cuts = sorted({0, len(columns), *self._some_of(range(len(columns)))})
        for start, stop in pairwise(cuts):
            is_row = self.form == "rows" or (self.form == "mixed" and self.random.random() < 0.5)
            is_row = is_row or not self.harness._operator.takes_columns
            # Keyed first and sliced then: some of its keys have no row.
            [(_, keyed)] = self._router.route(to_rows(columns) if is_row else columns)
            yield keyed.slice(start, stop)

    def _some_of(self, positions: range) -> list[int]:
        return self.random.sample(positions, self.random.randrange(min(3, len(positions) + 1)))

    def _end_write(self, *, is_written: bool) -> None:
        """Of the oldest generation, or of all that are needed for a restore."""
        while self._frozen:
            generation, before = self._frozen.pop(0)
            assert _shown(generation) == before, "what was frozen has changed"
            if is_written:
                self.harness._rows += self._log.write(generation)
                self._log.retire(generation)
            else:
                self._log.unfreeze(generation)


def _entries(table: Any, layer: Any) -> set[Any]:
    if isinstance(table, FlatTable):
        return set(layer)
    return {(outer, inner) for outer, inners in layer.items() for inner in inners}


def _shown(generation: Generation) -> str:
    return repr([(table.spec.name, layer) for table, layer in generation.layers])
