"""The live table of the demo in a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from app.demo.portal import Json, Person
from app.demo.watch import Live

COLOURS = {
    "CHARGING": "green",
    "AWAITING_CURRENT": "yellow",
    "PAUSED": "yellow",
    "FAULTED": "red",
    "FINISHED": "cyan",
    "DISCONNECTED": "dim",
    "UNKNOWN": "dim",
}


def welcome(url: str, people: Sequence[Person]) -> RenderableType:
    """Where to go, and as whom."""
    table = Table("role", "e-mail", "password", box=None, pad_edge=False)
    for person in people:
        table.add_row(person.role, person.email, person.password)
    return Panel(Group(f"GraphQL with ready operations: [bold]{url}/graphql[/bold]", "", table), title="Lade demo")


def screen(live: Live, *, breaker_a: float, left_s: float | None) -> RenderableType:
    """Every charger as the owner sees it now, and the garage in one line."""
    table = Table("charger", "circuit", "mode", "offer A", "L1 A", "L2 A", "L3 A", "kW", "kWh", "who")
    for charger in sorted(live.chargers.values(), key=lambda charger: str(charger["name"])):
        table.add_row(*_cells(charger))
    offered = sum(charger["status"]["allocatedA"] or 0.0 for charger in live.chargers.values())
    power = sum(charger["status"]["powerKw"] or 0.0 for charger in live.chargers.values())
    modes = ", ".join(f"{count} {mode.lower().replace('_', ' ')}" for mode, count in sorted(live.modes.items()))
    ends = "" if left_s is None else f" · ends in {max(0.0, left_s):.0f} s"
    line = f"{offered:.1f} of {breaker_a:g} A offered · {power:.1f} kW · {modes} · {live.events} events{ends}"
    return Group(table, line)


def _cells(charger: Json) -> tuple[str, ...]:
    status, session = charger["status"], charger["activeSession"]
    current = status["currentA"] or {"l1": None, "l2": None, "l3": None}
    user = (session or {}).get("user") or {}
    mode = status["mode"] if status["isOnline"] else "OFFLINE"
    colour = COLOURS.get(mode, "white")
    return (
        charger["name"],
        (charger["circuit"] or {}).get("name", ""),
        f"[{colour}]{mode.lower().replace('_', ' ')}[/{colour}]",
        _number(status["allocatedA"]),
        *(_number(current[line]) for line in ("l1", "l2", "l3")),
        _number(status["powerKw"]),
        "" if status["sessionEnergyKwh"] is None else str(status["sessionEnergyKwh"]),
        user.get("name", ""),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
