"""What a simulated fleet is made of and what it will do; together with a seed it is the same every time."""

from dataclasses import dataclass, field
from random import Random

from devices.simulator.car import CarSpec
from domain.roles import NetworkType, PhaseRotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What real firmware does wrong, each switchable."""

    sends_heartbeats: bool = True
    duplicate_rate: float = 0.0
    """How often a transaction message that was answered is sent once more, with a new id."""
    answer_loss_rate: float = 0.0
    """How often an answer to a transaction message is lost, so that it is sent again."""
    answer_delay_s: float = 0.0
    """How long it thinks before it answers a command."""
    clock_offset_s: float = 0.0
    is_zoneless: bool = False
    """Times without a zone."""
    boots_on_reconnect: bool = False
    """The standard has no boot after a mere loss of connection; some send one."""
    disconnects_every_s: float | None = None
    """Mean time between losses of the connection; None for never."""
    disconnected_for_s: float = 3.0
    refuses_profiles: bool = False
    refuses_availability: bool = False
    """It cannot be taken out of service from afar."""
    tells_only_in_reports: bool = False
    """OCPP 2.0.1: what it can do with charging profiles is in its base report, and asked for singly it is unknown."""
    forgets_availability: bool = False
    """After a start it is in service, whatever it was told before."""
    begins_with_cable: bool = False
    """OCPP 2.0.1: a transaction begins when a car is plugged in, and is authorised later (TxStartPoint EVConnected)."""
    forgets_transaction_ids: bool = False
    """OCPP 1.6: readings and the end of a transaction come with id 0."""
    replays_statuses: bool = False
    """After a loss of the connection it tells how its connector was meanwhile, behind how it is."""
    marks_offline: bool = True
    """OCPP 2.0.1: whether it says which messages were made without a connection."""
    forgets_clock: bool = False
    """After a start it is 1970 until the first boot is answered."""
    local_time_ahead_s: float = 0.0
    """Local time that is marked as UTC: so much later than it is."""
    meters_in_kwh: bool = False
    counts_from_start: bool = False
    """Its register begins at 0 with every transaction."""
    ignores_pings: bool = False
    late_reading_rate: float = 0.0
    """How many readings are told after the end of their transaction."""
    memory: int | None = None
    """Messages that it keeps without a connection; readings give way first. None: many."""
    loses_power_every_s: float | None = None
    """Mean time between losses of power while a car charges: the transaction ends, and is told after the next boot."""
    lets_no_current: bool = False
    """Its contactor stays open: it says that it charges, and nothing flows."""
    reorders_within: int = 1
    """So many waiting messages of transactions go out in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A car that comes once: so long after the last one left, for so long, with this card (None: it waits to be started)."""

    after_s: float
    stay_s: float
    car: CarSpec
    id_tag: str | None
    stops_by_card: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerPlan:
    """One charge point with one connector."""

    identity: str
    password: str | None = None
    vendor: str = "Lade"
    model: str = "Simulator"
    serial_number: str | None = None
    firmware_version: str = "1.0.0"
    rotation: PhaseRotation = PhaseRotation.RST
    network: NetworkType = NetworkType.TN_3_PHASE
    max_current_a: float = 32.0
    can_switch_phases: bool = False
    first_register_wh: int = 1_000_000
    protocol: str = "ocpp1.6"
    """Or `ocpp2.0.1`."""
    quirks: Quirks = field(default_factory=Quirks)
    visits: tuple[Visit, ...] | None = None
    """Exactly these, or None for ever new ones by the habits."""
    habits: "Habits | None" = None
    """Of the cars here, where they differ from the fleet's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How cars come and go: ranges are uniform, in seconds and ampere."""

    stay_s: tuple[float, float] = (15.0, 45.0)
    away_s: tuple[float, float] = (2.0, 15.0)
    phases: tuple[tuple[int, float], ...] = ((1, 0.3), (2, 0.1), (3, 0.6))
    """Phases and how often they are met."""
    max_currents_a: tuple[float, ...] = (16.0, 20.0, 32.0)
    energy_wanted_wh: float = 50_000.0
    id_tags: tuple[str, ...] = ("04A1B2C3D4",)
    stops_by_card_rate: float = 0.3
    remote_start_rate: float = 0.0
    """How many cars bring no card and wait to be started."""

    def visit(self, random: Random) -> Visit:
        """The next car."""
        phases, weights = zip(*self.phases, strict=True)
        spec = CarSpec(
            phases=random.choices(phases, weights)[0],
            max_current_a=random.choice(self.max_currents_a),
            energy_wanted_wh=self.energy_wanted_wh,
        )
        tag = random.choice(self.id_tags) if self.id_tags else None
        return Visit(
            after_s=random.uniform(*self.away_s),
            stay_s=random.uniform(*self.stay_s),
            car=spec,
            id_tag=None if random.random() < self.remote_start_rate else tag,
            stops_by_card=random.random() < self.stops_by_card_rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A fleet and how finely it is simulated, in seconds of the wall clock."""

    chargers: tuple[ChargerPlan, ...]
    habits: Habits | None = field(default_factory=Habits)
    """None: no cars come by themselves."""
    begins_unlimited: bool = True
    """Whether cars begin at a charger that is out of reach and was told no limit yet: at its own maximum, which no portal can prevent."""
    step_s: float = 0.5
    sample_every_s: int = 5
    heartbeat_every_s: int | None = None
    """None: what the answer to the boot says."""
    connect_over_s: float = 2.0
    """Chargers connect spread over this time."""
    call_timeout_s: float = 30.0
    retry_after_s: float = 1.0
    """Before a transaction message is sent again; grows with every attempt."""
    reconnect_after_s: tuple[float, float] = (0.5, 10.0)
    """First and longest wait for a new connection, doubled every time, with jitter."""
    restart_s: float = 1.0
    """How long a Reset takes."""
    drain_s: float = 10.0
    """How long an ending fleet waits for its last records to be taken."""


def identities(count: int, prefix: str = "SIM") -> tuple[str, ...]:
    """Names for so many chargers."""
    return tuple(f"{prefix}{number:04d}" for number in range(1, count + 1))
