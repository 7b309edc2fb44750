"""User functions that several tests of state share."""

from streamlet.functions import AggregateFunction


class Collect(AggregateFunction[int, list[int], list[int]]):
    """Gives out its accumulator itself, as careless functions do."""

    def create_accumulator(self) -> list[int]:
        return []

    def add(self, value: int, accumulator: list[int], /) -> list[int]:
        accumulator.append(value)
        return accumulator

    def get_result(self, accumulator: list[int], /) -> list[int]:
        return accumulator

    def merge(self, a: list[int], b: list[int], /) -> list[int]:
        return a + b
