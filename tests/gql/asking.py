"""Asking the schema as somebody, without a network between."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from app.auth import SignedTokens
from domain.access import Access
from domain.clock import Clock
from domain.ports import ChargerCommands, DeviceAnswer, DeviceCommand, DeviceVerdict
from exports.links import ExportLinks
from gql.context import Ports
from gql.engine import Caller, Engine, RefusedError, Request
from gql.ids import global_id
from gql.limits import Meter
from gql.schema.public import public_schema
from tests.factories import NOW
from tests.fakes import HandClock, NoCallOuts, NothingSent, OpenSeals, PlainPasswords, RecordingBus, UnlimitedAttempts

TOKENS = SignedTokens("a secret for tests")


class AcceptingCommands:
    """ChargerCommands to chargers that accept everything."""

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        return DeviceAnswer(DeviceVerdict.ACCEPTED)


@dataclass(slots=True)
class Api:
    """The public schema with fakes for its ports; the database is real."""

    clock: HandClock = field(default_factory=lambda: HandClock(NOW))
    bus: RecordingBus = field(default_factory=RecordingBus)
    is_creation_open: bool = False
    dispatch: NothingSent = field(default_factory=NothingSent)

    def engine(self) -> Engine:
        schema = public_schema()
        commands: ChargerCommands = AcceptingCommands()
        clock: Clock = self.clock
        ports = Ports(
            bus=self.bus,
            log=self.bus,
            clock=clock,
            tokens=TOKENS,
            sealer=OpenSeals(),
            call_outs=NoCallOuts(),
            attempts=UnlimitedAttempts(),
            passwords=PlainPasswords(),
            commands=commands,
            dispatch=self.dispatch,
            export_links=ExportLinks("a secret for tests", "http://lade.test"),
            public_url="http://lade.test",
            secret_key="a secret for tests",
            is_creation_open=self.is_creation_open,
        )
        return Engine(schema.core, schema.execution_context_class, ports=ports, meter=Meter(clock))

    async def ask(self, access: Access, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer: `data`, and `errors` where there are any."""
        engine = self.engine()
        try:
            ready = engine.ready(Request(query, dict(variables or {}), None))
            content = await engine.run(ready, Caller(access, None, "192.0.2.1"))
        except RefusedError as refused:
            return {"data": None, "errors": refused.bodies}
        answer: dict[str, Any] = orjson.loads(content)
        return answer

    async def data(self, access: Access, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = await self.ask(access, query, variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def mutate(self, access: Access, name: str, given: Mapping[str, Any], selection: str = "") -> dict[str, Any]:
        """The result of one mutation: its type, an error's code and path, and what `selection` asks for beside."""
        kind = public_schema().core.mutation_type
        assert kind is not None
        input_type = kind.fields[name].args["input"].type
        error = "... on UserError { code path message }"
        document = f"mutation ($input: {input_type}) {{ {name}(input: $input) {{ __typename {error} {selection} }} }}"
        result: dict[str, Any] = (await self.data(access, document, {"input": dict(given)}))[name]
        return result


def installation_id(identity: UUID) -> str:
    return global_id("Installation", identity)


def circuit_id(identity: UUID) -> str:
    return global_id("Circuit", identity)


def charger_id(identity: UUID) -> str:
    return global_id("Charger", identity)


def user_id(identity: UUID) -> str:
    return global_id("User", identity)


def permission_id(identity: UUID) -> str:
    return global_id("Permission", identity)


@contextmanager
def no_clearing_away() -> Iterator[None]:
    """Inside: coroutines that graphql-core cancelled before they began stay. Python warns when they are cleared away, which fails in
    the midst of code that has no builtins (`collections.namedtuple`); afterwards they go, with their warnings.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.enable()
