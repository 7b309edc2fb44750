"""Reads what a window holds in pieces, so that a million entries stall nobody.

Each generator here gives after every piece how many entries it worked on, and at its end returns
its result. The layers that are read must not change meanwhile (see `NestedTable.layers_of`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from streamlet.state.codec import encode
from streamlet.state.layout import TOMBSTONE

PIECE: Final = 16_384
"""So many entries are read or sorted in a few milliseconds."""

Ordered: TypeAlias = Generator[int, None, list[Any]]
Collected: TypeAlias = Generator[int, None, dict[Any, Any]]


class Entries(Protocol):
    """The entries of one outer in one layer: a dict, or rows on disk."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """(inner, value or TOMBSTONE)"""


def pieces_of(entries: Entries) -> Iterable[dict[Any, Any]]:
    """The entries in dicts of at most PIECE; a small dict is a piece itself."""
    if isinstance(entries, dict) and len(entries) <= PIECE:
        yield entries
        return
    items = iter(entries.items())
    while piece := dict(islice(items, PIECE)):
        yield piece


def collect(layers: Sequence[Entries]) -> Collected:
    """The live and removed entries of all layers, oldest first; a single dict is not copied."""
    if len(layers) == 1 and isinstance(layers[0], dict):
        return layers[0]
    merged: dict[Any, Any] = {}
    for layer in layers:
        for piece in pieces_of(layer):
            merged.update(piece)
            yield len(piece)
    return merged


def release(entries: dict[Any, Any], layers: Sequence[Entries]) -> Generator[int, None, None]:
    """Frees what `collect` made of the layers: a million values at once would take 300 ms."""
    while entries and not any(entries is layer for layer in layers):
        freed = min(len(entries), PIECE)
        for _ in range(freed):
            entries.popitem()
        yield freed


def in_order(entries: dict[Any, Any]) -> Ordered:
    """The inners with a live value, ascending; those that do not compare, by their encoding."""
    chunks: list[list[Any]] = []
    for piece in pieces_of(entries):
        chunks.append([inner for inner, value in piece.items() if value is not TOMBSTONE])
        yield len(piece)
    try:
        return (yield from _sorted(chunks, None))
    except TypeError:
        return (yield from _sorted(chunks, encode))


def _sorted(chunks: list[list[Any]], key: Callable[[Any], Any] | None) -> Ordered:
    for chunk in chunks:
        chunk.sort(key=key)
        yield len(chunk)
    if len(chunks) < 2:
        return chunks[0] if chunks else []
    # A whole list before anything fires: only then is it known that all of them compare.
    merging, ordered = heapq.merge(*chunks, key=key), list[Any]()
    while piece := list(islice(merging, PIECE)):
        ordered += piece
        yield len(piece)
    return ordered
