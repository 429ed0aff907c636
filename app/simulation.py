"""A simulated fleet at somebody's central system: what is shown while it runs, and what came of it."""

import asyncio
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.live import Live as Screen
from rich.table import Table

from app.interruption import until_interrupted
from devices.simulator import Fleet, Ledger
from devices.simulator.ledger import Happening, Kind

REFRESH_S = 0.5
ROWS_SHOWN = 30
TROUBLE = (Kind.REFUSED, Kind.DENIED, Kind.LOST, Kind.MISUNDERSTOOD)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a simulation. Wh are of ended sessions: by the meters, and by the cars' own integration."""

    chargers: int
    connected: int
    """How many were connected at some time."""
    sessions: int
    sessionsEnded: int  # noqa: N815  the words of the JSON line
    sessionsAcknowledged: int  # noqa: N815
    ledgerWh: int  # noqa: N815
    carWh: float  # noqa: N815
    peakLineLoadA: float  # noqa: N815
    refused: int
    denied: int
    lost: int
    misunderstood: int

    @property
    def complaint(self) -> str | None:
        """What the other side did not do, in words; None when it did everything."""
        if not self.connected:
            return "no charger could connect"
        if waiting := self.sessionsEnded - self.sessionsAcknowledged:
            return f"{waiting} ended sessions were not taken"
        return None


@dataclass(slots=True)
class Watch:
    """Grows while a fleet runs: who is connected, and the newest trouble."""

    connected: set[str] = field(default_factory=set)
    ever_connected: set[str] = field(default_factory=set)
    latest: dict[str, Happening] = field(default_factory=dict)
    """What happened last, by charger."""
    trouble: dict[Kind, Happening] = field(default_factory=dict)
    """The first of each kind."""

    def note(self, happening: Happening) -> None:
        """Takes it in."""
        self.latest[happening.charger] = happening
        if happening.kind is Kind.CONNECTED:
            self.connected.add(happening.charger)
            self.ever_connected.add(happening.charger)
        elif happening.kind is Kind.DISCONNECTED:
            self.connected.discard(happening.charger)
        elif happening.kind in TROUBLE:
            self.trouble.setdefault(happening.kind, happening)


async def run_fleet(fleet: Fleet, watch: Watch, *, for_s: float | None, console: Console) -> Figures:
    """The figures of a fleet that ran for so long, or until Ctrl-C or SIGTERM; its cars have left and told of it.

    On a terminal a table is shown meanwhile. The first trouble of each kind is told in words.
    """
    told: set[Kind] = set()
    day = asyncio.create_task(fleet.run(duration_s=for_s), name="simulated fleet")
    with until_interrupted(fleet.stop), Screen(console=console, auto_refresh=False, transient=True) as shown:
        while not day.done():
            for kind in watch.trouble.keys() - told:
                told.add(kind)
                console.print(_words(watch.trouble[kind]), markup=False, highlight=False, soft_wrap=True)
            if console.is_terminal:
                shown.update(screen(fleet.ledger, watch, chargers=len(fleet.chargers)), refresh=True)
            await asyncio.wait([day], timeout=REFRESH_S)
    return figures(day.result(), watch, chargers=len(fleet.chargers))


def figures(ledger: Ledger, watch: Watch, *, chargers: int) -> Figures:
    """What the ledger says, in numbers."""
    return Figures(
        chargers=chargers,
        connected=len(watch.ever_connected),
        sessions=len(ledger.sessions),
        sessionsEnded=len(ledger.ended(acknowledged_only=False)),
        sessionsAcknowledged=len(ledger.ended()),
        ledgerWh=ledger.energy_wh(),
        carWh=round(ledger.car_wh(), 3),
        peakLineLoadA=ledger.peak_line_load(),
        refused=ledger.counts[Kind.REFUSED],
        denied=ledger.counts[Kind.DENIED],
        lost=ledger.counts[Kind.LOST],
        misunderstood=ledger.counts[Kind.MISUNDERSTOOD],
    )


def screen(ledger: Ledger, watch: Watch, *, chargers: int) -> RenderableType:
    """What the chargers do now, and the fleet in one line."""
    table = Table("charger", "last", "", box=None, pad_edge=False, caption_justify="left")
    for charger, happening in sorted(watch.latest.items())[:ROWS_SHOWN]:
        table.add_row(charger, happening.kind.lower(), happening.detail)
    ended = ledger.ended()
    more = f"{len(watch.latest) - ROWS_SHOWN} more · " if len(watch.latest) > ROWS_SHOWN else ""
    table.caption = (
        f"{more}{len(watch.connected)} of {chargers} connected · "
        f"{sum(not session.is_ended for session in ledger.sessions)} charging · "
        f"{len(ended)} sessions, {sum(session.energy_wh for session in ended)} Wh taken · Ctrl-C ends it"
    )
    return table


def _words(happening: Happening) -> str:
    return f"{happening.charger}: {happening.kind.lower()}: {happening.detail}"
