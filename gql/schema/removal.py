"""Removing a thing: its input and result are the same for all."""

from typing import Annotated

import strawberry

from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.mutations import RemoveSuccess


@strawberry.input(description="What is to be removed.")
class RemoveInput:
    """Any thing's id."""

    id: strawberry.ID
    idempotency_key: str | None = strawberry.UNSET


RemoveResult = Annotated[
    RemoveSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError, strawberry.union("RemoveResult")
]
