"""The simulation can fail: known bugs are planted in the engine, and it finds each."""

from __future__ import annotations

import pytest

from streamlet.testing.simulation import Fate
from tests.proof.mutants import MUTANTS, Mutant


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bug_is_found_and_does_not_show_without_failures(mutant: Mutant) -> None:
    failure = mutant.found()
    assert failure is not None
    undisturbed = Fate(parallelism=failure.schedule[0].parallelism)
    assert any(fate != undisturbed for fate in failure.schedule)
