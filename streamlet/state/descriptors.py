"""What a user says about a state: its name, its types, and how its values become bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, overload

from typing_extensions import TypeVar

from streamlet.errors import ConfigError
from streamlet.state.codec import DEFAULT_CODEC, Codec
from streamlet.state.ttl import StateTtlConfig, ttl_config
from streamlet.state.type_names import UNKNOWN, type_name
from streamlet.units import Duration

if TYPE_CHECKING:
    from streamlet.functions import AggregateFunction, ReduceFunction

T = TypeVar("T", default=Any)
K = TypeVar("K", default=Any)
V = TypeVar("V", default=Any)


class _Descriptor:
    """Name, codec and TTL, checked; the type arguments only serve type checkers and readers."""

    __slots__ = ("codec", "name", "ttl")

    kind: str

    def __init__(
        self, name: str, codec: Codec | None, ttl: Duration | StateTtlConfig | None
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"a state needs a non-empty string as its name, got {name!r}")
        if name.startswith("_"):
            raise ConfigError(
                f"the state name {name!r} starts with '_', which is reserved for streamlet's own "
                "state; use another name"
            )
        if codec is not None and not (hasattr(codec, "encode") and hasattr(codec, "decode")):
            raise ConfigError(
                f"state {name!r}: codec= must have encode(value) and decode(bytes), got {codec!r}"
            )
        self.name = name
        self.codec: Codec = DEFAULT_CODEC if codec is None else codec
        self.ttl = ttl_config(ttl, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class ValueStateDescriptor(_Descriptor, Generic[T]):
    """One value per key. `value()` gives `default` where there is none.

    >>> ValueStateDescriptor("count", int, default=0)
    ValueStateDescriptor('count')
    """

    __slots__ = ("default", "type")

    kind = "value"

    @overload
    def __init__(
        self: ValueStateDescriptor[V | None],
        name: str,
        type: type[V] | None = None,
        *,
        default: None = None,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: ValueStateDescriptor[V],
        name: str,
        type: type[V] | None = None,
        *,
        default: V,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        type: type[Any] | None = None,  # noqa: A002 - a public name
        *,
        default: Any = None,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None:
        super().__init__(name, codec, ttl)
        self.type = type
        self.default = default


class ListStateDescriptor(_Descriptor, Generic[T]):
    """A list of values per key, cheap to append to."""

    __slots__ = ("type",)

    kind = "list"

    def __init__(
        self,
        name: str,
        type: type[T] | None = None,  # noqa: A002 - a public name
        *,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None:
        super().__init__(name, codec, ttl)
        self.type = type


class MapStateDescriptor(_Descriptor, Generic[K, V]):
    """A map per key, read and written entry by entry."""

    __slots__ = ("key_type", "value_type")

    kind = "map"

    def __init__(
        self,
        name: str,
        key_type: type[K] | None = None,
        value_type: type[V] | None = None,
        *,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None:
        super().__init__(name, codec, ttl)
        self.key_type = key_type
        self.value_type = value_type


class ReducingStateDescriptor(_Descriptor, Generic[T]):
    """One value per key, into which `fn(old, new)` folds what is added."""

    __slots__ = ("fn", "type")

    kind = "reducing"

    def __init__(
        self,
        name: str,
        fn: Callable[[T, T], T] | ReduceFunction[T],
        type: type[T] | None = None,  # noqa: A002 - a public name
        *,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None:
        super().__init__(name, codec, ttl)
        if not callable(getattr(fn, "reduce", fn)):
            raise ConfigError(
                f"state {name!r}: fn must be a callable of two values or a ReduceFunction, "
                f"got {fn!r}"
            )
        self.fn = fn
        self.type = type


class AggregatingStateDescriptor(_Descriptor, Generic[K, V]):
    """One accumulator per key of an AggregateFunction from K to V."""

    __slots__ = ("agg", "type")

    kind = "aggregating"

    def __init__(
        self,
        name: str,
        agg: AggregateFunction[K, Any, V],
        type: type[Any] | None = None,  # noqa: A002 - a public name
        *,
        codec: Codec | None = None,
        ttl: Duration | StateTtlConfig | None = None,
    ) -> None:
        super().__init__(name, codec, ttl)
        if not hasattr(agg, "create_accumulator"):
            raise ConfigError(f"state {name!r}: agg must be an AggregateFunction, got {agg!r}")
        self.agg = agg
        self.type = type


AnyDescriptor: TypeAlias = (
    ValueStateDescriptor[Any]
    | ListStateDescriptor[Any]
    | MapStateDescriptor[Any, Any]
    | ReducingStateDescriptor[Any]
    | AggregatingStateDescriptor[Any, Any]
)


def declared_type(descriptor: AnyDescriptor) -> str:
    """The type that a descriptor declares, as a manifest notes it; empty when it says nothing.

    >>> declared_type(MapStateDescriptor("visits", str, int))
    'dict[str, int]'
    """
    if isinstance(descriptor, MapStateDescriptor):
        parts = [descriptor.key_type, descriptor.value_type]
        if parts == [None, None]:
            return UNKNOWN
        return f"dict[{', '.join('Any' if part is None else type_name(part) for part in parts)}]"
    return UNKNOWN if descriptor.type is None else type_name(descriptor.type)
