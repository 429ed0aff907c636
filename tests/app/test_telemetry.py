"""Traces: what is told of an operation and of work behind the scenes, and what never is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.jobs import deliver_some
from app.redis_bus import RedisBus
from app.settings import OperatorError
from app.telemetry import OpenTelemetry, asked_for, tracing_of
from balancing.loop import BalancerPorts, SiteLoop
from devices.service import commands_only
from domain import outbox
from domain.clock import SystemClock
from domain.errors import UnavailableError
from domain.ids import new_id
from domain.ports import Grip, Mail, Mailer, Restart
from domain.tracing import UNTRACED
from gql.ids import global_id
from tests.factories import Town, a_charger, a_town
from tests.gql.world import World, status

pytestmark = pytest.mark.usefixtures("database")

CLOCK = SystemClock()
ELSEWHERE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUERY = """
query Overview($site: ID!) { mine: node(id: $site) { ... on Installation { secretAlias: name
  few: chargers(first: 5, where: {name: {contains: "Hidden word"}}) { nodes { name } }
  all: chargers(first: 5) { nodes { name installation { name } } } } } }
"""
OF_CHARGERS = "Query.node/Installation.chargers/ChargerConnection.nodes"


@pytest.fixture
def told() -> InMemorySpanExporter:
    """Keeps the spans."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(told: InMemorySpanExporter) -> Iterator[OpenTelemetry]:
    """Tells it."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(told))
    traced = OpenTelemetry(provider)
    yield traced
    traced.close()


@pytest.fixture
async def town() -> Town:
    """A site with two chargers."""
    return await a_town()


@pytest.fixture
def world(bus: RedisBus, tracing: OpenTelemetry) -> World:
    """An edge that is traced."""
    made = World(bus)
    made.edge.engine.ports = replace(made.edge.engine.ports, tracing=tracing)
    return made


async def test_a_field_is_told_of_once_however_many_values_it_has(
    world: World, town: Town, told: InMemorySpanExporter
) -> None:
    """Within the operation's span, which is within what the client says; aliases, arguments, variables and values are in none."""
    await a_charger(town.site, "Third")
    token = await world.token(town.people["OWNER of installation"])
    site = global_id("Installation", town.site.id)
    answer = await world.http(
        token=token, json={"query": QUERY, "variables": {"site": site}}, headers={"traceparent": ELSEWHERE}
    )
    assert "errors" not in answer.json(), answer.json()
    assert [one["name"] for one in answer.json()["data"]["mine"]["all"]["nodes"]] == ["Space 1", "Space 2", "Third"]
    *fields, operation = told.get_finished_spans()
    assert (operation.name, of(operation)["lade.operation"]) == ("graphql query", "Overview")
    assert operation.parent is not None
    assert f"{operation.parent.span_id:016x}" == ELSEWHERE.split("-")[2]
    assert operation.context is not None
    assert {one.parent and one.parent.span_id for one in fields} == {operation.context.span_id}
    assert {one.name: of(one)["lade.values"] for one in fields}[f"{OF_CHARGERS}/Charger.installation"] == 3
    text = "".join(one.to_json() for one in told.get_finished_spans())
    for hidden in ("secretAlias", "mine", "all", "Hidden word", site, "Space 1", "Third", "Fjordveien", token):
        assert f'"{hidden}"' not in text, hidden
    assert {"Hidden", "Fjordveien", "secretAlias", "Third"}.isdisjoint(text.replace('"', " ").split())


LIVE = """subscription Screen($site: ID!) { chargerStatus(target: {installationId: $site}) {
  secretAlias: kind charger { name status { version PLACE } } } }"""


@pytest.mark.parametrize("place", ["", "charger: __typename } viewerRoles meterKey { publicKey"])
async def test_what_is_followed_is_told_of_once_for_each_execution(
    world: World, bus: RedisBus, town: Town, told: InMemorySpanExporter, place: str
) -> None:
    """A span for each event that is written out, however many are told it, by fields and never by values; shared or not."""
    token = await world.token(town.people["OWNER of installation"])
    query = LIVE.replace("PLACE", place)
    async with world.signed_in(token) as one, world.signed_in(token) as two:
        for client in (one, two):
            client.subscribe(query, site=global_id("Installation", town.site.id))
            for _ in range(3):
                assert "errors" not in (await client.hear())["payload"]
        told.clear()
        await bus.publish(status(town.site.id, town.charger_id, 2))
        for client in (one, two):
            await client.hear()
    spans = told.get_finished_spans()
    [operation] = [one for one in spans if one.name == "graphql subscription"]
    assert of(operation) == {"lade.operation": "Screen"}
    assert "Subscription.chargerStatus/ChargerStatusEvent.charger" in {one.name for one in spans}
    text = "".join(one.to_json() for one in spans)
    for hidden in ("secretAlias", "Space 1", token, global_id("Installation", town.site.id)):
        assert hidden not in text, hidden


async def test_a_query_by_events_is_told_within_what_its_client_says(
    world: World, town: Town, told: InMemorySpanExporter
) -> None:
    """As one that is answered with JSON."""
    answer = await world.http(
        token=await world.token(town.people["SERVICE"]),
        json={"query": "query Mine { viewer { user { name } } }"},
        headers={"traceparent": ELSEWHERE, "Accept": "text/event-stream"},
    )
    assert "event: complete" in answer.text
    [operation] = [one for one in told.get_finished_spans() if one.name == "graphql query"]
    assert operation.parent is not None
    assert f"{operation.parent.span_id:016x}" == ELSEWHERE.split("-")[2]


async def test_of_an_error_its_class_is_told(tracing: OpenTelemetry, told: InMemorySpanExporter) -> None:
    """And never its words."""
    with pytest.raises(LookupError), tracing.span("work"):
        raise LookupError("words of a person")
    [span] = told.get_finished_spans()
    assert of(span) == {"error.type": "LookupError"}
    assert "words" not in span.to_json()


class Postbox:
    """A Mailer that takes everything."""

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Mailer]:
        """The same."""
        yield self

    async def send(self, mail: Mail) -> None:
        """Taken."""


async def _show(_charger_id: UUID, _current_a: float, _phases: str) -> None:
    raise UnavailableError("Nobody watches.")


async def test_work_behind_the_scenes_is_told(
    bus: RedisBus, tracing: OpenTelemetry, told: InMemorySpanExporter
) -> None:
    """A command with its answer, a batch of mails with their number, and a look of the balancer: not who gets them."""
    commands, charger_id, site_id = commands_only(bus=bus, tracing=tracing), new_id(), new_id()
    await commands.send(charger_id, Restart(), timeout_s=5.0)
    mail = Mail(to="kari@example.com", subject="Hello", text="words", html=None, message_id="<1@lade>")
    for _ in range(2):
        await outbox.put(outbox.MAIL, msgspec.json.encode(mail).decode(), now=CLOCK.now())
    assert await deliver_some(Postbox(), CLOCK, tracing=tracing)
    assert not await deliver_some(Postbox(), CLOCK, tracing=tracing)
    site = SiteLoop(site_id, BalancerPorts(commands, bus, CLOCK, _show, tracing=tracing), holder="a")
    assert not await site.tick(Grip("balancer", 1, CLOCK.now()), "start")
    assert [(one.name, of(one)) for one in told.get_finished_spans()] == [
        ("device command", {"lade.command": "Restart", "lade.charger": str(charger_id), "lade.answer": "OFFLINE"}),
        ("mail batch", {"lade.mails": 2}),
        ("balance", {"lade.installation": str(site_id), "lade.trigger": "start"}),
    ]
    assert "kari" not in "".join(one.to_json() for one in told.get_finished_spans())


@pytest.mark.parametrize(
    ("environ", "is_asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_it_is_off_unless_a_collector_is_named(environ: dict[str, str], is_asked: bool) -> None:
    """As the standard's variables say; without the exporter that is an error in words, and off it is nothing."""
    assert asked_for(environ) is is_asked
    if is_asked:
        with pytest.raises(OperatorError, match="telemetry"), tracing_of(environ, roles="api"):
            pass
    else:
        with tracing_of(environ, roles="api") as tracing:
            assert tracing is UNTRACED


def of(span: ReadableSpan) -> dict[str, object]:
    """Its facts."""
    return dict(span.attributes or {})
