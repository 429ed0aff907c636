"""Everything about chargers in one process: the routes they connect to, what must keep running, and commands to them."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

import structlog
from starlette.routing import BaseRoute

from devices.availability import Availability
from devices.endpoint import Endpoint
from devices.ingest import LANES, IngestCounts, Ingestor
from devices.kinds import Kinds
from devices.link import Settings, Surroundings
from devices.liveness import CHECK_EVERY_S, Liveness
from devices.local_lists import LocalLists
from devices.overtaking import Overtaking
from devices.registry import CommandCounts, CommandRouter, Registry
from devices.sockets import GOING_AWAY
from devices.tallies import Tallies
from devices.waiting_room import WaitingRoom
from domain import lifecycle, sql
from domain.authorization.authorizer import Authorizer, AuthorizerPorts
from domain.clock import Clock
from domain.equipment.capabilities import ChargerModels
from domain.ids import new_id
from domain.ports import CallOuts, ChargerCommands, EventBus, Sealer
from domain.tracing import UNTRACED, Tracing

OFFLINE_AFTER_S = 900.0
"""Fifteen minutes of silence open an alert (domain.md §7)."""
LOOK_EVERY_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """What an operator can set about chargers."""

    heartbeat_interval_s: int = 300
    meter_interval_s: int = 30
    limit_awaited_s: float = 0.0
    """How long a car that is about to begin waits for its charger's word on the limit that holds without us; 0: nobody balances."""
    offline_after_s: float = OFFLINE_AFTER_S
    check_every_s: float = CHECK_EVERY_S
    holds_unknown: bool = False
    """Whether chargers that nobody has added wait until somebody adopts them, or are refused."""
    look_every_s: float = LOOK_EVERY_S
    """How often it is looked who of them was added, and who knocked is written down."""


class DeviceService:
    """The chargers of one process. `services` must run for as long as `routes` are served."""

    def __init__(
        self,
        *,
        secret: str,
        bus: EventBus,
        clock: Clock,
        call_outs: CallOuts,
        sealer: Sealer,
        options: DeviceOptions | None = None,
        models: ChargerModels | None = None,
        process: str | None = None,
        tracing: Tracing = UNTRACED,
    ) -> None:
        options = options or DeviceOptions()
        self.process = process or str(new_id())
        self._bus = bus
        self._clock = clock
        self._registry = Registry()
        lanes = 1 if sql.is_sqlite() else LANES
        self._ingestor = Ingestor(bus=bus, clock=clock, on_away=self._registry.send_away, lanes=lanes)
        self._router = CommandRouter(self.process, self._registry, bus, tracing)
        self.authorizer = Authorizer(
            AuthorizerPorts(bus=bus, clock=clock, call_outs=call_outs, sealer=sealer, commands=self._router)
        )
        self._shared = Surroundings(
            self._ingestor,
            clock,
            Settings(
                heartbeat_interval_s=options.heartbeat_interval_s,
                meter_interval_s=options.meter_interval_s,
                limit_awaited_s=options.limit_awaited_s,
            ),
            self.authorizer,
        )
        self._liveness = Liveness(
            self.process, self._registry, bus, clock, options.offline_after_s, options.check_every_s
        )
        self._lists = LocalLists(self._registry, bus, clock)
        kinds = Kinds(models or ChargerModels.load(), clock)
        self._availability = Availability(self._registry, bus, clock, self._shared.counts)
        self._room = WaitingRoom(
            clock, self._shared.counts, is_open=options.holds_unknown, look_every_s=options.look_every_s
        )
        self._endpoint = Endpoint(
            self._registry,
            self._shared,
            bus,
            self.process,
            secret,
            kinds,
            self._lists,
            self._availability,
            self._room,
        )

    @property
    def commands(self) -> ChargerCommands:
        """Commands to any charger of the house, wherever its socket is; needs the service `charger commands`."""
        return self._router

    def routes(self) -> list[BaseRoute]:
        """Where chargers connect."""
        return self._endpoint.routes()

    def services(self) -> list[tuple[str, Callable[[], Coroutine[object, object, None]]]]:
        """What must keep running, by name, in this order."""
        return [
            ("ingest", self._ingestor.run),
            ("charger commands", self._router.run),
            ("chargers that leave", Overtaking(self.process, self._registry, self._bus).run),
            ("authorizations", self.authorizer.run),
            ("local lists", self._lists.run),
            ("availability", self._availability.run),
            ("liveness", self._liveness.run),
            ("unknown chargers", self._room.run),
        ]

    @property
    def connected_count(self) -> int:
        """How many stations are connected to this process."""
        return len(self._registry)

    @property
    def connected_by_protocol(self) -> "Counter[str]":
        """The same, by the version of OCPP that they speak."""
        return Counter(link.adapter.subprotocol for link in self._registry.links())

    @property
    def command_counts(self) -> CommandCounts:
        """What became of commands."""
        return self._router.counts

    @property
    def waiting(self) -> Mapping[str, int]:
        """What is on its way from chargers into the database and onto the bus."""
        return self._ingestor.waiting

    @property
    def held_count(self) -> int:
        """How many chargers that nobody has added wait in this process."""
        return len(self._room)

    @property
    def counts(self) -> "Counter[str]":
        """Malformed frames, refused upgrades, leniencies and the like, by name, since the process began."""
        return self._shared.counts

    @property
    def tallies(self) -> Tallies:
        """What had to be forgiven each kind of charger, and what each charger did wrong."""
        return self._shared.tallies

    @property
    def ingest_counts(self) -> IngestCounts:
        """What was stored."""
        return self._ingestor.counts

    async def close(self) -> None:
        """Chargers are asked to come back to another process, and are offline until they do; call it before the services end."""
        self._registry.close_all(GOING_AWAY, "The portal restarts; come back.")
        self._room.close_all(GOING_AWAY, "The portal restarts; come back.")
        try:
            events = await lifecycle.process_ended(self.process, now=self._clock.now())
        except (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE):
            _log.warning("chargers could not be marked offline; their lease runs out by itself")
        else:
            await self._bus.publish(*events)


def commands_only(*, bus: EventBus, tracing: Tracing = UNTRACED) -> CommandRouter:
    """Commands for a process that takes no chargers in: its `run` must run."""
    return CommandRouter(str(new_id()), Registry(), bus, tracing)
