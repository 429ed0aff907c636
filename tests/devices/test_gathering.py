"""Who asks while others are being answered is answered with the next lot."""

import asyncio
from collections.abc import Sequence

import pytest

from devices.gathering import MOST_TOGETHER, MOST_WAITING, Gathering
from domain.errors import UnavailableError


class Squares:
    """Work that squares numbers, refuses lots with a negative one, and stands still until `go` is set."""

    def __init__(self) -> None:
        self.lots: list[list[int]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.lots.append(list(numbers))
        await self.go.wait()
        if min(numbers) < 0:
            raise ValueError("negative")
        return [one * one for one in numbers]


async def test_those_who_come_meanwhile_share_the_next_lot() -> None:
    """Each gets its own answer, a lot has at most so many, and nobody waits for more than those before."""
    work = Squares()
    squares = Gathering("squares", work, key=int)
    count = 2 * MOST_TOGETHER + 5
    assert await asyncio.gather(*(squares.ask(one) for one in range(count))) == [one * one for one in range(count)]
    assert [len(lot) for lot in work.lots] == [MOST_TOGETHER, MOST_TOGETHER, 5]


async def test_two_of_the_same_key_are_of_two_lots() -> None:
    """The second of them comes with the next, so that its answer follows from the first."""
    work = Squares()
    squares = Gathering("squares", work, key=lambda one: one % 10)
    assert await asyncio.gather(*(squares.ask(one) for one in (1, 2, 11, 3))) == [1, 4, 121, 9]
    assert work.lots == [[1, 2, 3], [11]]


async def test_what_befell_a_lot_is_told_to_all_of_it_and_to_no_other() -> None:
    """The next lot is worked on as ever."""
    work = Squares()
    squares = Gathering("squares", work, key=lambda one: one % 10)
    found = await asyncio.gather(*(squares.ask(one) for one in (-1, 2, 12)), return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError, int]


async def test_who_gave_up_is_not_worked_for() -> None:
    """One that is cancelled while it waits is left out, also where it would have been the only one."""
    work = Squares()
    work.go.clear()
    squares = Gathering("squares", work, key=int)
    first, second = asyncio.create_task(squares.ask(1)), asyncio.create_task(squares.ask(2))
    while not work.lots:  # noqa: ASYNC110  turns of the loop, not time
        await asyncio.sleep(0)
    third = asyncio.create_task(squares.ask(3))
    await asyncio.sleep(0)
    third.cancel()
    work.go.set()
    assert (await first, await second) == (1, 4)
    assert work.lots == [[1, 2]]


async def test_too_many_are_sent_away() -> None:
    """An answer that would come when nobody waits for it any more is refused at once."""
    work = Squares()
    work.go.clear()
    squares = Gathering("squares", work, key=int)
    waiting = [asyncio.create_task(squares.ask(one)) for one in range(MOST_WAITING + MOST_TOGETHER)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await squares.ask(-5)
    work.go.set()
    answered = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(one, int) for one in answered) == MOST_WAITING
