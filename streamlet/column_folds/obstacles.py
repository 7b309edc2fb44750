"""Which aggregates take columns, and why others need records; for plans, it loads no Arrow."""

from __future__ import annotations

from typing import Final

from streamlet.aggregates import NamedAggregates
from streamlet.folds import Aggregate, Count, First, Last, Max, Mean, Min, Selecting, Sum

FOLDING_COLUMNS: Final = frozenset({Count, Sum, Mean, Min, Max, First, Last})


def rows_because(named: NamedAggregates) -> str | None:
    """Why the aggregates need Python objects; None: they do not.

    >>> from streamlet import aggregates as agg
    >>> rows_because(NamedAggregates({"n": agg.count(), "p95": agg.quantile("price", 0.95)}))
    "its 'p95' is a quantile"
    """
    for name, aggregate in zip(named.names, named.aggregates, strict=True):
        reason = _rows_because(aggregate)
        if reason is not None:
            return f"its {name!r} {reason}"
    return None


def _rows_because(aggregate: Aggregate) -> str | None:
    if type(aggregate) not in FOLDING_COLUMNS:
        return f"is a {type(aggregate).__name__.lower()}"
    if not isinstance(aggregate, Selecting) or isinstance(aggregate.selector, str):
        return None
    return "is of whole records" if aggregate.selector is None else "is selected by no field name"
