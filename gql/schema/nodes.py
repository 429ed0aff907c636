"""Things with a global id, and what shows each row: one table, filled by the nouns."""

from dataclasses import dataclass
from typing import Any

import strawberry

from gql.loaders import Batch


@strawberry.interface(description="Something with an id that is the same wherever it is met.")
class Node:
    """The id is made of the type's name and the row's `id`."""

    id: strawberry.ID


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A GraphQL type, the class of its rows, and the batch that reads them by id as far as the viewer may see them."""

    shown: type
    row: type
    load: Batch[Any] | None
    """None: reached through others only, `node(id:)` of it is null."""

    @property
    def name(self) -> str:
        """The GraphQL name."""
        return type_name_of(self.shown)


def type_name_of(shown: type) -> str:
    """The GraphQL name of a schema type."""
    definition: Any = getattr(shown, "__strawberry_definition__")  # noqa: B009  set by Strawberry's decorator
    return str(definition.name)
