"""Named aggregates over batches of columns, with exactly the results that rows would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.forms import CountForm, FoldForm, PickForm
from streamlet.column_folds.groups import GroupedRows, Groups
from streamlet.column_folds.kept import Kept, Mask, Older
from streamlet.column_folds.numbers import BestForm, MeanForm, SumForm
from streamlet.column_folds.obstacles import rows_because
from streamlet.folds import Aggregate, Count, First, Last, Max, Mean, Min, Selecting, Sum

FORMS: Final[Mapping[type[Aggregate], Callable[[Any, pa.Schema], FoldForm]]] = {
    Count: CountForm,
    Sum: SumForm,
    Mean: MeanForm,
    Min: BestForm,
    Max: BestForm,
    First: PickForm,
    Last: PickForm,
}


class NamedFolds:
    """The column form of named aggregates, for batches of one schema.

    >>> import numpy as np
    >>> from streamlet import aggregates as agg
    >>> named = NamedAggregates({"bids": agg.count(), "total": agg.sum("price")})
    >>> records = pa.record_batch({"price": [5, 7, 1]})
    >>> folds = NamedFolds.of(named, records.schema)
    >>> older, is_new = [np.array([4, 0]), np.array([30, 0])], np.array([False, True])
    >>> folded = folds.fold(Groups(np.array([0, 1, 0]), 2), records, older, is_new)
    >>> [kept.tolist() for kept in folded]
    [[6, 1], [36, 7]]
    """

    __slots__ = ("_forms", "dtypes", "merges")

    def __init__(self, forms: list[FoldForm]) -> None:
        self._forms = forms
        self.dtypes = [form.dtype for form in forms]
        """Per aggregate what keeps its accumulators, unless one of them is of another kind."""
        self.merges = all(form.merges for form in forms)
        """Whether rows folded afresh, and merged into what is older, always come to the same as
        rows folded on top of it, if the older rows came from columns of the same types."""

    @classmethod
    def of(cls, named: NamedAggregates, schema: pa.Schema) -> NamedFolds | None:
        """None: there is none, an aggregate needs records or a column is not there."""
        if rows_because(named) is not None:
            return None
        fields = [each.selector for each in named.aggregates if isinstance(each, Selecting)]
        if any(schema.get_field_index(field) < 0 for field in fields):
            return None
        return cls([FORMS[type(each)](each, schema) for each in named.aggregates])

    def fold(
        self,
        groups: Groups,
        records: pa.RecordBatch,
        older: Sequence[Kept],
        is_new: Mask,
    ) -> list[Kept] | None:
        """Per aggregate each group's accumulator with the group's rows, on top of the older one.

        `is_new` tells which groups have no older one: what `older` has for them means nothing. It
        is left as it is. None: columns cannot fold these rows exactly as they come one by one; the
        caller must take them so.
        """
        rows, folded = GroupedRows(groups, records), []
        for form, before in zip(self._forms, older, strict=True):
            newer = form.fold(rows, Older(before, is_new))
            if newer is None:
                return None
            folded.append(newer)
        return folded

    def run(
        self,
        groups: Groups,
        records: pa.RecordBatch,
        older: Sequence[Kept],
        is_new: Mask,
    ) -> tuple[list[pa.Array], list[Kept]] | None:
        """As `fold`, with the result after each row; None also if Arrow cannot hold one."""
        rows, arrays, folded = GroupedRows(groups, records), [], []
        for form, before in zip(self._forms, older, strict=True):
            running = form.running(rows, Older(before, is_new))
            if running is None:
                return None
            arrays.append(running[0])
            folded.append(running[1])
        return arrays, folded

    def results(self, kept: Sequence[Kept]) -> list[pa.Array] | None:
        """Per aggregate what it gives for each group; None: Arrow cannot hold a result."""
        arrays = []
        for form, accumulators in zip(self._forms, kept, strict=True):
            array = form.results(accumulators)
            if array is None:
                return None
            arrays.append(array)
        return arrays


class FoldsOfSchema:
    """The column form of named aggregates for whatever schema batches have; mostly the last one."""

    def __init__(self, named: NamedAggregates) -> None:
        self._named = named
        self._schema: pa.Schema | None = None
        self.latest: NamedFolds | None = None
        """That of the last batch."""

    def of(self, schema: pa.Schema) -> NamedFolds | None:
        """As `NamedFolds.of`."""
        if schema is not self._schema and schema != self._schema:
            self.latest, self._schema = NamedFolds.of(self._named, schema), schema
        return self.latest
