"""Whatever anybody asks: every id, name, card and energy in the answer is theirs to know. The full count is in `bench.scoping`."""

from pathlib import Path

import pytest

from tests.scoping.cases import CASES_A_WORLD, Tally, cases_until_found, run_world
from tests.scoping.planted import PLANTED

_SEEDS = range(7_000, 7_010)
"""One world each, with 50 cases."""
_LOOKED_IN = range(8_000, 8_012)


# graphql-core cancels fields beside one that failed, some before they began.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("seed", _SEEDS)
async def test_nobody_is_told_what_is_not_theirs(seed: int) -> None:
    """Random grants, random questions, and an oracle that knows the rules by itself; nothing of one's own is missing either."""
    tally = Tally()
    await run_world(seed, tally)
    assert tally.leaks == []
    assert tally.hidings == []
    assert tally.cases == CASES_A_WORLD
    assert tally.refused < tally.queries / 2
    assert tally.values > 500


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("name", PLANTED)
async def test_a_planted_leak_is_found(name: str, sqlite_template: Path) -> None:
    """The same cases tell when the product leaks: else they would prove nothing."""
    assert await cases_until_found(name, sqlite_template, _LOOKED_IN) is not None
