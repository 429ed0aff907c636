"""How fields of rows are declared: plain attributes, derived values, relations loaded in batches, lists in pages.

A type's fields are read from the row that a resolver returned: `name: str` reads `row.name`, without a call of its own.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from uuid import UUID

import strawberry
from strawberry.types.base import has_object_definition
from strawberry.types.info import Info

from domain import pages
from domain.roles import UNSET
from gql.context import Context
from gql.loaders import Batch

READ: Final = "lade-read"
"""Metadata of a field: (row) → value."""
RELATION: Final = "lade-relation"
"""Metadata of a field: (batch, (row) → id or None)."""

Row = TypeVar("Row")


def derived(read: Callable[[Any], object], *, description: str | None = None) -> Any:
    """A field whose value is computed from the row, without waiting for anything."""
    return strawberry.field(description=description, metadata={READ: read})


def related(batch: Batch[Any], key: Callable[[Any], UUID | None], *, description: str | None = None) -> Any:
    """A field that is another row, by its id: loaded together with those of the neighbouring rows. Hidden and absent are null."""
    return strawberry.field(description=description, metadata={RELATION: (batch, key)})


def context_of(info: Info[Context, Any]) -> Context:
    """The operation's context."""
    return info.context


def resolved(resolver: Callable[..., Any], graphql_type: Any, *, description: str | None = None) -> Any:
    """A field with a resolver of its own: `resolver(root, info, …)` returns rows of that type."""
    return strawberry.field(resolver=resolver, graphql_type=graphql_type, description=description)


def plain(value: Any) -> Any:
    """An input's value as the domain takes it: absent is UNSET, an input object with `to_domain` is what that returns."""
    if value is strawberry.UNSET:
        return UNSET
    if isinstance(value, list):
        return [plain(one) for one in value]
    if has_object_definition(value) and hasattr(value, "to_domain"):
        return value.to_domain()
    return value


Pager = Callable[..., Awaitable[pages.Page[Any]]]
"""(context, row or None, page request, further arguments by name) → page."""


def connection(
    resolver: Pager, graphql_type: Any, *, description: str | None = None, further: dict[str, Any] | None = None
) -> Any:
    """A list in pages. `further` are more arguments by Python name, each with its annotation: absent when not given.

    The resolver is called with `(context, row, request)` and those of `further` that the client gave, by name.
    """

    async def resolve(root: Any, info: Info[Context, Any], **arguments: Any) -> pages.Page[Any]:
        request = pages.page_request(*(arguments.pop(name, None) for name in _PAGING))
        given = {name: plain(value) for name, value in arguments.items() if value is not strawberry.UNSET}
        return await resolver(info.context, root, request, **given)

    kinds = {**_PAGING, **(further or {})}
    _declare(resolve, {"root": Any, "info": Info[Context, Any]}, kinds)
    return strawberry.field(resolver=resolve, graphql_type=graphql_type, description=description)


_PAGING: dict[str, Any] = {"first": int | None, "after": str | None, "last": int | None, "before": str | None}


def _declare(function: Any, positional: dict[str, Any], optional: dict[str, Any]) -> None:
    """The function's signature says so: Strawberry makes GraphQL arguments of it."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=note)
            for name, note in positional.items()
        ),
        *(inspect.Parameter(name, kind, annotation=note, default=strawberry.UNSET) for name, note in optional.items()),
    ]
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {**positional, **optional}
