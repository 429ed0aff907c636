"""Relations without a query for each row: ids asked for in the same turn of the loop are loaded together, once a request."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from domain.access import Access

T = TypeVar("T")

Batch = Callable[[Access, Sequence[UUID]], Awaitable[Mapping[UUID, T]]]
"""A function of the domain: the rows of these ids that the access reaches. Hidden and absent ids are not in the result."""

MAX_BATCH = 1000


class Loaders:
    """One request's loaders, made as they are asked for; a row is read once."""

    __slots__ = ("_access", "_known", "_loaders")

    def __init__(self, access: Access, known: Mapping[tuple[Batch[Any], UUID], Any] | None = None) -> None:
        self._access = access
        self._known = known or {}
        self._loaders: dict[Batch[Any], DataLoader[UUID, Any]] = {}

    def known(self, batch: Batch[Any], identity: UUID) -> Any:
        """The row if it is already here, as those of a live event are; else None."""
        return self._known.get((batch, identity))

    def load(self, batch: Batch[T], identity: UUID) -> Awaitable[T | None]:
        """The row, or None when it is hidden or absent."""
        loader = self._loaders.get(batch)
        if loader is None:
            loader = self._loaders[batch] = DataLoader(load_fn=self._function(batch), max_batch_size=MAX_BATCH)
        # Fields beside one that fails are cancelled: that must not take the row away from others who wait for it.
        return asyncio.shield(loader.load(identity))

    def _function(self, batch: Batch[T]) -> Callable[[list[UUID]], Awaitable[list[T | None]]]:
        async def load(identities: list[UUID]) -> list[T | None]:
            found = await batch(self._access, identities)
            return [found.get(identity) for identity in identities]

        return load
