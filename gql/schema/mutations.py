"""How a mutation is declared: an input spread over a resolver's parameters, and a result that is a success or an error."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar, get_args

import msgspec
import orjson
import strawberry
from strawberry.types.base import has_object_definition
from strawberry.types.info import Info

from domain.access import renewed
from domain.errors import DomainError, NotFoundError, UnauthenticatedError
from domain.idempotency import Outcome, input_hash, once
from gql.context import Context
from gql.loaders import Loaders
from gql.made import Made
from gql.schema.errors import ERRORS
from gql.schema.fields import plain

KEY: Final = "idempotency_key"

T = TypeVar("T")


Resolver = Callable[..., Awaitable[Any]]
"""(context, the input's fields by name) → UUID, Made or None."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A success that shows one thing: read anew, with the access that the caller has after the mutation."""

    success: type
    field: str
    node: str

    async def outcome(self, returned: Any) -> Outcome:
        """What is remembered under an idempotency key."""
        return Outcome(self.node, returned.identity if isinstance(returned, Made) else returned)

    async def answer(self, context: Context, outcome: Outcome, _given: Any, returned: Any) -> object:
        """The success; NotFoundError when the caller may no longer see the thing."""
        load = _loads[self.node]
        row = await context.load(load, outcome.identity)
        if row is None:
            raise NotFoundError
        extra = returned.shown_once if isinstance(returned, Made) else {}
        return made(self.success, **{self.field: row}, **extra)


@dataclass(frozen=True, slots=True)
class Plain:
    """A success without a thing, made of the input and what the resolver returned.

    When the request is repeated that is None, or with `kept`, the class of what the resolver returns, what it was the first time:
    it is kept as JSON for a day, so nothing secret may be in it.
    """

    name: str
    make: Callable[[Any, Any], object]
    kept: type | None = None

    async def outcome(self, returned: Any) -> Outcome:
        """What is remembered under an idempotency key."""
        return Outcome(self.name, None, None if self.kept is None else msgspec.json.encode(returned).decode())

    async def answer(self, _context: Context, outcome: Outcome, given: Any, returned: Any) -> object:
        """The success."""
        if returned is None and self.kept is not None and outcome.content is not None:
            returned = msgspec.json.decode(outcome.content, type=self.kept)
        return self.make(given, returned)


@strawberry.type(description="Says no more than that it was done: not whether an address has an account.")
class DoneSuccess:
    """Done."""

    is_done: bool


@strawberry.type(description="It is gone.")
class RemoveSuccess:
    """The id as it was given."""

    removed_id: strawberry.ID


def made(kind: type[T], /, **values: object) -> T:
    """An object of a schema type whose fields hold rows rather than objects of other schema types."""
    thing = kind.__new__(kind)
    for name, value in _defaults(kind).items():
        setattr(thing, name, value)
    for name, value in values.items():
        setattr(thing, name, value)
    return thing


def _shown(error: DomainError) -> object:
    """The error as a member of a result: graphql-core would raise an exception that a resolver returns."""
    kind = next(shown for raised, shown in ERRORS.items() if isinstance(error, raised))
    return made(kind, **vars(error))


def _defaults(kind: type) -> dict[str, None]:
    return {one.name: None for one in fields(kind)}


DONE = Plain("Done", lambda _given, _returned: made(DoneSuccess, is_done=True))
REMOVED = Plain("Removed", lambda given, _returned: made(RemoveSuccess, removed_id=given.id))

_loads: dict[str, Any] = {}
"""Batches by the name of the node type, filled when the schema is put together."""


def register_loads(found: Mapping[str, Any]) -> None:
    """Things of these types are read by these batches."""
    _loads.update(found)


def loads() -> Mapping[str, Any]:
    """The batches by the name of the node type."""
    return _loads


def mutation(
    resolver: Resolver,
    input_type: type,
    result: Any,
    success: Thing | Plain,
    *,
    description: str | None = None,
    needs_sign_in: bool = True,
) -> Any:
    """A mutation with one `input`, whose fields are the resolver's keyword parameters (checked here, at import).

    Trouble that is a member of `result` is answered as such, all else is a top-level error. Without a sign-in:
    UNAUTHENTICATED. With an idempotency key: done once.
    """
    _check_parameters(resolver, input_type)
    tolerated = tuple(raised for raised, shown in ERRORS.items() if shown in _members(result))

    async def resolve(info: Info[Context, Any], **arguments: Any) -> object:
        context, given = info.context, arguments["input"]
        if needs_sign_in and context.access.actor is None:
            raise UnauthenticatedError
        try:
            return await _answer(context, info, resolver, given, success)
        except DomainError as error:
            if isinstance(error, tolerated):
                return _shown(error)
            raise

    resolve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by Strawberry
        [
            inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info[Context, Any]),
            inspect.Parameter("input", inspect.Parameter.KEYWORD_ONLY, annotation=input_type),
        ]
    )
    return strawberry.mutation(resolver=resolve, graphql_type=result, description=description)


async def _answer(
    context: Context, info: Info[Context, Any], resolver: Resolver, given: Any, success: Thing | Plain
) -> object:
    returned: list[Any] = []

    async def do() -> Outcome:
        returned.append(await resolver(context, **_arguments(given)))
        return await success.outcome(returned[0])

    key, actor = getattr(given, KEY, None), context.access.actor
    if isinstance(key, str) and actor is not None:
        content = orjson.dumps(_content(given), option=orjson.OPT_SORT_KEYS, default=str)
        digest = input_hash(content, tokens=context.ports.tokens)
        outcome = (await once(actor.id, info.field_name, key, digest, do, clock=context.ports.clock)).outcome
    else:
        outcome = await do()
    await _renew(context)
    return await success.answer(context, outcome, given, returned[0] if returned else None)


async def _renew(context: Context) -> None:
    """The context's access is that after the mutation: who makes a thing may see it."""
    if context.access.actor is not None:
        context.access = await renewed(context.access, now=context.ports.clock.now())
    context.loaders = Loaders(context.access)


def _arguments(given: Any) -> dict[str, Any]:
    return {one.name: plain(getattr(given, one.name)) for one in fields(given) if one.name != KEY}


def _content(value: Any) -> object:
    if isinstance(value, list):
        return [_content(one) for one in value]
    if has_object_definition(value):
        names: Any = value
        return {
            one.name: _content(getattr(value, one.name))
            for one in fields(names)
            if one.name != KEY and getattr(value, one.name) is not strawberry.UNSET
        }
    return value


def _members(result: Any) -> set[Any]:
    """The types of `Annotated[A | B, strawberry.union(...)]`."""
    return set(get_args(get_args(result)[0]))


def _check_parameters(resolver: Resolver, input_type: type) -> None:
    taken: set[str] = set()
    for parameter in list(inspect.signature(resolver).parameters.values())[1:]:
        is_open = parameter.kind is inspect.Parameter.VAR_KEYWORD
        # `**given: Unpack[Some]` takes what the TypedDict has.
        taken |= set(get_args(parameter.annotation)[0].__annotations__) if is_open else {parameter.name}
    names = {one.name for one in fields(input_type)} - {KEY}
    if names != taken:
        raise TypeError(f"{resolver.__qualname__} takes {sorted(taken)} but {input_type.__name__} has {sorted(names)}")
