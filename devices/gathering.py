"""Askers of the same at the same moment are answered together: while one lot is under way, the next one gathers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from domain.errors import UnavailableError

MOST_TOGETHER = 100
MOST_WAITING = 2_000
"""Beyond that an answer would come when nobody waits for it any more."""

T = TypeVar("T")
R = TypeVar("R")

_Asking = tuple[T, asyncio.Future[R]]


class Gathering(Generic[T, R]):
    """`work` answers a lot, in its order. No two of a lot have the same key: the later one comes with the next."""

    def __init__(
        self, name: str, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, key: Callable[[T], Hashable]
    ) -> None:
        self._name = name
        self._work = work
        self._key = key
        self._waiting: deque[_Asking[T, R]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """The answer; whatever `work` raises for its lot. UnavailableError when too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            raise UnavailableError(f"too many wait: {self._name}")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._answer_all(), name=self._name)
        return await answer

    async def _answer_all(self) -> None:
        while lot := self._next_lot():
            try:
                answers = await self._work([item for item, _ in lot])
                for (_, answer), found in zip(lot, answers, strict=True):
                    if not answer.done():
                        answer.set_result(found)
            except Exception as error:  # each of those who asked is told, whatever it is
                self._fail(lot, error)
            finally:
                self._fail(lot, UnavailableError(f"this was given up: {self._name}"))

    def _fail(self, lot: Sequence[_Asking[T, R]], error: Exception) -> None:
        for _, answer in lot:
            if not answer.done():
                answer.set_exception(error)

    def _next_lot(self) -> list[_Asking[T, R]]:
        lot: dict[Hashable, _Asking[T, R]] = {}
        later: list[_Asking[T, R]] = []
        while self._waiting and len(lot) < MOST_TOGETHER:
            asking = self._waiting.popleft()
            key = self._key(asking[0])
            if asking[1].done():  # Nobody waits for it any more.
                continue
            if key in lot:
                later.append(asking)
            else:
                lot[key] = asking
        self._waiting.extendleft(reversed(later))
        return list(lot.values())
