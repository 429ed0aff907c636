"""Which routes and services each role has: the one place where the rooms are put together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from starlette.routing import BaseRoute

from app.health import health_routes
from app.house import House
from app.jobs import MailCounts, deliver_codes, deliver_mails, keep_count, keep_house, tell_of_alerts
from app.mail_links import mail_link_routes
from app.metrics import watch_balancer, watch_devices, watch_edge, watch_mails
from app.press import Press
from app.settings import OperatorError, ServerRole, UnknownChargers
from app.supervisor import Service
from balancing.loop import Balancer, BalancerPorts, Show
from devices.first_limits import PATIENCE_S
from devices.service import DeviceOptions, DeviceService, commands_only
from domain import lifecycle
from domain.alerting import alert_mailing
from domain.alerting.alert_mailing import MailRoom
from domain.authorization.authorizer import Asks, Authorizer, AuthorizerPorts
from domain.command_dispatch import CommandDispatcher
from domain.equipment.capabilities import ChargerModels, ModelsError
from domain.ids import new_id
from domain.ports import ChargerCommands, EventBus
from domain.session_event_delivery import SessionEventDelivery
from exports.endpoints import export_routes
from exports.links import ExportLinks
from exports.report_mails import ReportMails
from exports.worker import ExportWorker
from exports.writing import WritingProcess
from gql.context import Ports
from gql.edge import Edge

Closer = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Composition:
    """What a process serves (the first route that matches answers), what it keeps running (by name, in this order), and
    what it does before its services end.
    """

    routes: list[BaseRoute] = field(default_factory=list)
    services: list[tuple[str, Service]] = field(default_factory=list)
    closers: list[Closer] = field(default_factory=list)
    edge: Edge | None = None
    """With the role `api`."""


def compose(house: House) -> Composition:
    """The routes and services of the house's roles; nothing of it runs yet."""
    whole = Composition()
    whole.routes += health_routes(house)
    models = _models(house)
    commands, asks = _devices(house, whole, models)
    if ServerRole.API in house.roles:
        _api(house, whole, commands, asks)
    if ServerRole.BALANCER in house.roles:
        ports = BalancerPorts(
            commands=commands,
            bus=house.bus,
            clock=house.clock,
            show=_show(house.bus),
            models=models,
            tracing=house.tracing,
        )
        balancer = Balancer(ports, holder=str(new_id()))
        watch_balancer(house.metrics, balancer)
        whole.services.append(("balancer", balancer.run))
    if ServerRole.JOBS in house.roles:
        _jobs(house, whole)
    return whole


def _models(house: House) -> ChargerModels:
    try:
        return ChargerModels.load(house.settings.models_file)
    except ModelsError as error:
        raise OperatorError(f"The table of charger models cannot be used: {error}. docs/ocpp.md shows one.") from error


def _devices(house: House, whole: Composition, models: ChargerModels) -> tuple[ChargerCommands, Asks]:
    """Commands to any charger, and who asks external systems; with the role also the chargers themselves."""
    if ServerRole.DEVICES not in house.roles:
        router = commands_only(bus=house.bus, tracing=house.tracing)
        whole.services.append(("charger commands", router.run))
        authorizer = Authorizer(
            AuthorizerPorts(
                bus=house.bus, clock=house.clock, call_outs=house.call_outs, sealer=house.sealer, commands=router
            )
        )
        if ServerRole.API in house.roles:
            whole.services.append(("authorizations", authorizer.run))
        return router, authorizer
    settings = house.settings
    options = DeviceOptions(
        meter_interval_s=settings.meter_interval_s,
        limit_awaited_s=PATIENCE_S,
        offline_after_s=settings.offline_after_s,
        holds_unknown=settings.unknown_chargers is UnknownChargers.HOLD,
    )
    devices = DeviceService(
        secret=house.settings.secret_key,
        bus=house.bus,
        clock=house.clock,
        call_outs=house.call_outs,
        sealer=house.sealer,
        options=options,
        models=models,
        tracing=house.tracing,
    )
    watch_devices(house.metrics, devices)
    whole.routes += devices.routes()
    whole.services += devices.services()
    whole.closers.append(devices.close)
    return devices.commands, devices.authorizer


def _api(house: House, whole: Composition, commands: ChargerCommands, asks: Asks) -> None:
    settings = house.settings
    dispatcher = CommandDispatcher(commands=commands, asks=asks, bus=house.bus, clock=house.clock)
    whole.services.append(("commands of people", dispatcher.run))
    links = ExportLinks(settings.secret_key, settings.public_url)
    edge = whole.edge = Edge(
        Ports(
            bus=house.bus,
            log=house.bus,
            clock=house.clock,
            tokens=house.tokens,
            sealer=house.sealer,
            call_outs=house.call_outs,
            attempts=house.attempts,
            open_id=house.open_id,
            is_sign_up_open=settings.is_sign_up_open,
            passwords=house.passwords,
            commands=commands,
            dispatch=dispatcher,
            export_links=links,
            public_url=settings.public_url,
            secret_key=settings.secret_key,
            is_creation_open=settings.is_creation_open,
            tracing=house.tracing,
        )
    )
    watch_edge(house.metrics, edge)
    whole.closers.append(edge.close)
    whole.routes += edge.routes()
    whole.routes += mail_link_routes(Press(), tokens=house.tokens, clock=house.clock)
    whole.routes += export_routes(links, folder=settings.exports_dir, clock=house.clock)


def _show(bus: EventBus) -> Show:
    async def show(charger_id: UUID, current_a: float, phases: str) -> None:
        await bus.publish(*await lifecycle.show_allocation(charger_id, current_a, phases))

    return show


def _jobs(house: House, whole: Composition) -> None:
    writing = WritingProcess()
    worker = ExportWorker(folder=house.settings.exports_dir, writing=writing, bus=house.bus, clock=house.clock)
    delivery = SessionEventDelivery(call_outs=house.call_outs, sealer=house.sealer, clock=house.clock)
    whole.services.append(("events of charges", delivery.run))
    public_url = house.settings.public_url
    whole.services.append(
        ("letters with codes", lambda: deliver_codes(house.mailer, house.tokens, public_url, house.clock))
    )
    counts = MailCounts()
    watch_mails(house.metrics, counts)
    room = MailRoom(Press(), house.tokens, public_url)
    whole.services.append(("figures", lambda: keep_count(counts, house.clock)))
    whole.services.append(("news of alerts", lambda: tell_of_alerts(room, house.clock, counts)))
    whole.services.append(
        (
            "mail",
            lambda: deliver_mails(
                house.mailer,
                house.clock,
                counts,
                house.tracing,
                as_of_now=lambda mail: alert_mailing.as_of_now(mail, room, now=house.clock.now()),
            ),
        )
    )
    whole.services.append(("housekeeping", lambda: keep_house(house.clock)))
    whole.services.append(("exports", worker.run))
    links = ExportLinks(house.settings.secret_key, public_url)
    reports = ReportMails(house.settings.exports_dir, house.mailer, links, house.clock)
    whole.services.append(("reports by mail", reports.run))

    async def close() -> None:
        writing.close()

    whole.closers.append(close)
