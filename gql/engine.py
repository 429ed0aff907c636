"""Runs operations: a document is read, judged and measured once, and executed as often as it is asked."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLSchema,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from domain.access import Access
from domain.errors import DomainError, UnauthenticatedError
from domain.identity.callers import Claims, access_by, claims_of
from gql.context import Context, Ports
from gql.errors import Code, EdgeError, body_of, edge_error, execution_errors, mask, request_errors
from gql.limits import MAX_TOKENS, Meter, Operation, check_text, check_variables, operations_of
from gql.tracing import Positions

_DOCUMENTS: Final = 512
"""Documents that are kept ready: a program sends the same few again and again."""
_LONGEST_KEPT: Final = 16_000
"""Characters of such a document; longer ones are read anew each time, or strangers could fill our memory with them."""
_LONGEST_S: Final = 30.0
_MAX_ERRORS: Final = 20
_RULES: Final = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)

_IS_AWAITABLE: Final[Any] = optimized_is_awaitable


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may run."""

    text: str
    node: DocumentNode
    operations: Mapping[str | None, Operation]

    def operation(self, name: str | None) -> Operation:
        """The operation of that name, or the only one. EdgeError when there is none."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        found = self.operations.get(name)
        if found is None:
            wanted = "Say which with `operationName`" if name is None else f"There is no operation {name[:60]!r}"
            raise EdgeError(f"{wanted}: the document has {len(self.operations)}.", code=Code.BAD_USER_INPUT)
        return found


class RefusedError(Exception):
    """The operation did not begin; `bodies` are its errors."""

    def __init__(self, bodies: list[dict[str, Any]]) -> None:
        super().__init__(bodies)
        self.bodies = bodies

    @property
    def codes(self) -> set[str]:
        """The codes of its errors."""
        return {body["extensions"]["code"] for body in self.bodies}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends to have an operation run."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


@dataclass(frozen=True, slots=True)
class Ready:
    """A request whose document may run, with its cost known."""

    document: Document
    operation: Operation
    request: Request
    cost: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends operations; nobody when not signed in. `claims` say until when."""

    access: Access
    claims: Claims | None
    address: str

    @property
    def key(self) -> str:
        """Under which their points are counted."""
        actor = self.access.actor
        return str(actor.id) if actor is not None else self.address


class Engine:
    """The schema with the ports that its resolvers need."""

    def __init__(self, schema: GraphQLSchema, executor: type[Executor[Any]], *, ports: Ports, meter: Meter) -> None:
        self.schema = schema
        self.ports = ports
        self.meter = meter
        self._executor = executor
        self._changing: set[asyncio.Task[bytes]] = set()
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def caller(self, token: str | None, *, address: str) -> Caller:
        """Who holds this token. EdgeError (UNAUTHENTICATED) when it is not valid, has expired, or its sign-in has ended."""
        now = self.ports.clock.now()
        claims = await self.claims(token)
        if claims is None:
            return Caller(Access.nobody(now), None, address)
        access = await access_by(claims, now=now)
        if access.actor is None:
            raise EdgeError("This sign-in has ended. Sign in again.", code=Code.UNAUTHENTICATED)
        return Caller(access, claims, address)

    async def claims(self, token: str | None) -> Claims | None:
        """What the token says; None without one. EdgeError (UNAUTHENTICATED) when it is not valid or has expired."""
        if token is None:
            return None
        try:
            return await claims_of(token, tokens=self.ports.tokens, now=self.ports.clock.now())
        except UnauthenticatedError as error:
            raise edge_error(error) from error

    def ready(self, request: Request) -> Ready:
        """The request, judged. RefusedError says what is wrong with it."""
        document = self._document(request.query)
        try:
            operation = document.operation(request.operation_name)
            check_variables(request.variables)
            return Ready(document, operation, request, operation.cost(request.variables))
        except EdgeError as error:
            raise RefusedError([body_of(error)]) from error
        except GraphQLError as error:
            raise RefusedError(request_errors([error])) from error

    async def read(self, request: Request, caller: Caller | None) -> Ready:
        """As `ready`, in the caller's turn: to read a document that is not known takes milliseconds, and who sends thousands at once is to
        hold up nobody but themselves.
        """
        if request.query in self._documents:
            return self.ready(request)
        key = "" if caller is None else caller.key
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = asyncio.Lock()
        async with turn:
            # Others go on before the next is read.
            await asyncio.sleep(0)
            return self.ready(request)

    def context(self, caller: Caller, cost: int) -> Context:
        """A context in which the caller has paid for an operation. RefusedError (RATE_LIMITED) when there are no points left."""
        try:
            budget = self.meter.spend(caller.key, cost)
        except EdgeError as error:
            raise RefusedError([body_of(error)]) from error
        return Context(access=caller.access, ports=self.ports, budget=budget, address=caller.address)

    def executor(self, ready: Ready, context: Context, positions: Positions | None = None) -> Executor[Any]:
        """What executes the operation, and notes how long its fields took where that is wanted. RefusedError when its variables do not
        fit.
        """
        built = self._executor.build(
            self.schema,
            ready.document.node,
            context_value=context,
            raw_variable_values=ready.request.variables,
            operation_name=ready.operation.node.name.value if ready.operation.node.name else None,
            is_awaitable=_IS_AWAITABLE,
            hide_suggestions=True,
            operation_extensions=None,
            middleware=None if positions is None else positions.middleware,
        )
        if isinstance(built, list):
            raise RefusedError(request_errors(built))
        return built

    async def run(self, ready: Ready, caller: Caller, *, traceparent: str | None = None) -> bytes:
        """The response to a query or mutation, traced within `traceparent` where that is on. RefusedError when it did not begin."""
        tracing = self.ports.tracing
        if not tracing.is_on:
            return await self._run(ready, caller, None)
        positions = Positions()
        with tracing.span(
            f"graphql {ready.operation.kind.value}",
            traceparent=traceparent,
            operation=ready.operation.short_name,
            cost=ready.cost,
        ) as span:
            content = await self._run(ready, caller, positions)
            positions.tell(span)
            span.note(bytes=len(content))
            return content

    async def _run(self, ready: Ready, caller: Caller, positions: Positions | None) -> bytes:
        if ready.operation.kind is OperationType.SUBSCRIPTION:
            message = "Subscriptions run over WebSocket (graphql-transport-ws) or as events (`Accept: text/event-stream`), both here."
            raise RefusedError([body_of(EdgeError(message, code=Code.BAD_USER_INPUT))])
        executor = self.executor(ready, self.context(caller, ready.cost), positions)
        if ready.operation.kind is OperationType.MUTATION:
            # Whoever is gone before the answer has asked for it all the same: what is stored is also told to those whom it concerns.
            changing = asyncio.create_task(_answer(executor), name="mutation")
            self._changing.add(changing)
            changing.add_done_callback(self._changing.discard)
            return await asyncio.shield(changing)
        return await _answer(executor)

    def _document(self, text: str) -> Document:
        known = self._documents.get(text)
        if known is not None:
            self._documents.move_to_end(text)
            return known
        document = self._read(text)
        if len(text) <= _LONGEST_KEPT:
            self._documents[text] = document
        if len(self._documents) > _DOCUMENTS:
            self._documents.popitem(last=False)
        return document

    def _read(self, text: str) -> Document:
        try:
            node = parse(text, max_tokens=MAX_TOKENS)
            _unchain(node)
            check_text(node)
            errors = validate(self.schema, node, _RULES, max_errors=_MAX_ERRORS, hide_suggestions=True)
            if errors:
                raise RefusedError(request_errors(errors))
            return Document(text, node, operations_of(self.schema, node))
        except GraphQLError as error:
            raise RefusedError(request_errors([error])) from error
        except RecursionError as error:
            message = "The operation is nested too deeply: ask in several steps."
            raise RefusedError([body_of(EdgeError(message, code=Code.BAD_USER_INPUT))]) from error


def _unchain(document: DocumentNode) -> None:
    """Its tokens know each other no more: else nothing of a document that is forgotten would be free before the old are looked through
    for garbage, which is seldom.
    """
    token = document.loc.start_token if document.loc else None
    while token is not None:
        token.prev, token.next, token = None, None, token.next


async def _answer(executor: Executor[Any]) -> bytes:
    try:
        async with asyncio.timeout(_LONGEST_S):
            return encoded(await execute(executor))
    except TimeoutError:
        message = f"This took longer than {_LONGEST_S:.0f} s and was ended: ask for less at once."
        error = EdgeError(message, code=Code.INTERNAL)
        return orjson.dumps({"data": None, "errors": [body_of(error)]})


async def execute(executor: Executor[Any]) -> ExecutionResult:
    """The result of the executor's operation; never raises for what a resolver did."""
    result: Any = executor.execute_operation(False)
    if optimized_is_awaitable(result):
        result = await result
    finished: ExecutionResult = result
    return finished


def executed_now(executor: Executor[Any]) -> ExecutionResult | Awaitable[ExecutionResult]:
    """As `execute`, where nothing has to be waited for."""
    result: Any = executor.execute_operation(False)
    found: ExecutionResult | Awaitable[ExecutionResult] = result
    return found


def encoded(result: ExecutionResult) -> bytes:
    """The result as it travels; defects in it are masked and logged."""
    if not result.errors:
        return orjson.dumps({"data": result.data})
    return orjson.dumps({"data": result.data, "errors": execution_errors(result.errors)})


def told(error: Exception) -> list[dict[str, Any]]:
    """The bodies of whatever kept an operation from going on."""
    match error:
        case RefusedError():
            return error.bodies
        case EdgeError():
            return [body_of(error)]
        case DomainError():
            return [body_of(edge_error(error))]
        case GraphQLError():
            return execution_errors([error])
    return [body_of(mask(error))]
