"""Named aggregates over batches of columns, with exactly the results that rows would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.forms import CountForm, FoldForm, PickForm
from streamlet.column_folds.groups import GroupedRows, Groups
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
    >>> folds.fold(Groups(np.array([0, 1, 0]), 2), records, None)
    [[2, 6], [1, 7]]
    """

    __slots__ = ("_forms", "_named", "merges")

    def __init__(self, named: NamedAggregates, forms: list[FoldForm]) -> None:
        self._named = named
        self._forms = forms
        self.merges = all(form.merges for form in forms)
        """Whether `named.merge(older, fold(rows, None))` is always what `fold(rows, older)` is,
        if the older rows came from columns of the same types."""

    @classmethod
    def of(cls, named: NamedAggregates, schema: pa.Schema) -> NamedFolds | None:
        """None: there is none, an aggregate needs records or a column is not there."""
        if rows_because(named) is not None:
            return None
        fields = [each.selector for each in named.aggregates if isinstance(each, Selecting)]
        if any(schema.get_field_index(field) < 0 for field in fields):
            return None
        return cls(named, [FORMS[type(each)](each, schema) for each in named.aggregates])

    def fold(
        self, groups: Groups, records: pa.RecordBatch, before: list[list[Any]] | None
    ) -> list[list[Any]] | None:
        """Per group the accumulator with the group's rows, on top of that in `before` or afresh.

        `before` is left as it is. None: columns cannot fold these rows exactly as they come one by
        one; the caller must take them so.
        """
        columns = self.columns(groups, records, before)
        return None if columns is None else list(map(list, zip(*columns, strict=True)))

    def columns(
        self, groups: Groups, records: pa.RecordBatch, before: list[list[Any]] | None
    ) -> list[list[Any]] | None:
        """As `fold`, but a list per aggregate, of what it has for each group."""
        rows, folded = GroupedRows(groups, records), []
        for form, older in zip(self._forms, self._older(groups, before), strict=True):
            newer = form.fold(rows, older)
            if newer is None:
                return None
            folded.append(newer)
        return folded

    def run(
        self, groups: Groups, records: pa.RecordBatch, accumulators: list[list[Any]]
    ) -> list[pa.Array] | None:
        """For each name the result after each row; the accumulators, one per group, change.

        None: as `fold`, or Arrow cannot hold a result; nothing was changed.
        """
        rows, arrays, folded = GroupedRows(groups, records), [], []
        for form, older in zip(self._forms, self._older(groups, accumulators), strict=True):
            running = form.running(rows, older)
            if running is None:
                return None
            arrays.append(running[0])
            folded.append(running[1])
        for place, newer in enumerate(folded):
            for accumulator, after in zip(accumulators, newer, strict=True):
                accumulator[place] = after
        return arrays

    def _older(self, groups: Groups, before: list[list[Any]] | None) -> list[list[Any]]:
        """For each aggregate the accumulators of all groups."""
        if before is None:
            return [[fresh] * groups.count for fresh in self._named.create()]
        return [[accumulator[place] for accumulator in before] for place in range(len(self._forms))]


class FoldsOfSchema:
    """The column form of named aggregates for whatever schema batches have; mostly the last one."""

    def __init__(self, named: NamedAggregates) -> None:
        self._named = named
        self._schema: pa.Schema | None = None
        self._folds: NamedFolds | None = None

    def of(self, schema: pa.Schema) -> NamedFolds | None:
        """As `NamedFolds.of`."""
        if schema is not self._schema and schema != self._schema:
            self._folds, self._schema = NamedFolds.of(self._named, schema), schema
        return self._folds
