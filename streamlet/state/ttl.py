"""How long a state lives after its last use: what a descriptor is given as `ttl=`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from streamlet.clock import Clock
from streamlet.errors import ConfigError
from streamlet.state.layout import MISSING
from streamlet.units import Duration, to_positive_ms

UpdateType: TypeAlias = Literal["on_create_and_write", "on_read_and_write"]
Visibility: TypeAlias = Literal["never_return_expired", "return_expired_if_not_cleaned_up"]

_UPDATE_TYPES: Final = get_args(UpdateType)
_VISIBILITIES: Final = get_args(Visibility)

Timed: TypeAlias = tuple[int, Any]
"""(processing time of the last use in epoch ms, value): how a state with a TTL keeps a value."""


@dataclass(frozen=True, slots=True)
class StateTtlConfig:
    """A value, list element or map entry is expired once `ttl` has passed since its last use.

    `update_type`: whether reading counts as a use (TTL-2). `visibility`: whether what is expired
    but not yet removed is given out a last time (TTL-3). Only processing time counts (TTL-1).

    >>> StateTtlConfig("1h").ttl_ms
    3600000
    """

    ttl: Duration
    update_type: UpdateType = "on_create_and_write"
    visibility: Visibility = "never_return_expired"

    def __post_init__(self) -> None:
        to_positive_ms(self.ttl, "the ttl of a state")
        _check_choice("update_type", self.update_type, _UPDATE_TYPES)
        _check_choice("visibility", self.visibility, _VISIBILITIES)

    @property
    def ttl_ms(self) -> int:
        return to_positive_ms(self.ttl, "the ttl of a state")


def ttl_config(ttl: Duration | StateTtlConfig | None, state: str) -> StateTtlConfig | None:
    """What a descriptor's `ttl=` means; raises ConfigError naming the state."""
    if ttl is None or isinstance(ttl, StateTtlConfig):
        return ttl
    try:
        return StateTtlConfig(ttl)
    except ConfigError as error:
        raise ConfigError(f"state {state!r}: {error}") from None


class Expiry:
    """Judges by the clock what is expired; for the states of one TTL."""

    __slots__ = ("_clock", "_ttl_ms", "is_renewed_by_reading", "is_shown_when_expired")

    def __init__(self, config: StateTtlConfig, clock: Clock) -> None:
        self._clock = clock
        self._ttl_ms = config.ttl_ms
        self.is_renewed_by_reading = config.update_type == "on_read_and_write"
        self.is_shown_when_expired = config.visibility == "return_expired_if_not_cleaned_up"

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def limit_ms(self) -> int:
        """What was last used at this time, or before, is expired (TTL-1)."""
        return self._clock.now_ms() - self._ttl_ms


def trim_one(timed: Timed, limit_ms: int) -> Any:
    """The same object, or MISSING when it is expired."""
    return timed if timed[0] > limit_ms else MISSING


def trim_elements(elements: list[Timed], limit_ms: int) -> Any:
    """The same list, or a new one without the expired elements, or MISSING when none is left."""
    live = [element for element in elements if element[0] > limit_ms]
    if len(live) == len(elements):
        return elements
    return live or MISSING


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        raise ConfigError(f"{name} of a StateTtlConfig must be {expected}, got {value!r}")
