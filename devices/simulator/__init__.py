"""Simulated chargers and cars over real WebSockets, with a ledger of the truth: for `lade simulate`, the demo, tests and benches."""

from devices.simulator.fleet import Fleet
from devices.simulator.ledger import Ledger, Listener
from devices.simulator.plan import ChargerPlan, Habits, Plan, identities

__all__ = ["Fleet", "Ledger", "simulate"]


async def simulate(
    url: str,
    *,
    chargers: int = 24,
    passwords: dict[str, str] | None = None,
    id_tags: tuple[str, ...] = ("04A1B2C3D4",),
    duration_s: float | None = None,
    seed: int = 1,
    listener: Listener | None = None,
    protocol: str = "ocpp1.6",
) -> Ledger:
    """The ledger of a fleet that has come and gone at `url` (`ws://host:port/ocpp`).

    With `passwords` by identity exactly these chargers exist; else `chargers` of them, named SIM0001 and on, without a password.
    None as `duration_s` means until cancelled.
    """
    keys: dict[str, str | None] = {**passwords} if passwords else dict.fromkeys(identities(chargers))
    plans = tuple(
        ChargerPlan(identity=identity, password=password, protocol=protocol) for identity, password in keys.items()
    )
    fleet = Fleet(url, Plan(chargers=plans, habits=Habits(id_tags=id_tags)), seed=seed, listener=listener)
    return await fleet.run(duration_s=duration_s)
