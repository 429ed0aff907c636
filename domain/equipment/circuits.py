"""The circuits of a site: a tree of fuses, its root the main breaker."""

from dataclasses import dataclass
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import INSTALLERS, Access
from domain.checks import Problems
from domain.equipment.installations import managed, root_of
from domain.errors import ConflictError, ErrorCode, NotFoundError, Path
from domain.events import InstallationChanged
from domain.ids import new_id
from domain.models import Charger, Circuit
from domain.ports import EventBus
from domain.roles import UNSET, Unset
from domain.units import PhaseAmps

MAX_CIRCUITS = 1000
"""Of one site: the whole tree is read and balanced at once."""
NONE = PhaseAmps.even(0.0)
_COLUMNS = ["parent_id", "name"] + [f"{kind}_l{line}" for kind in ("breaker", "safe", "assumed") for line in (1, 2, 3)]
"""Not the meter's columns: those are written by machines, which do not wait for the lock."""
_METER = ["meter_l1", "meter_l2", "meter_l3", "metered_at", "meter_history"]


async def create_circuit(
    access: Access,
    installation_id: UUID,
    *,
    name: str,
    breaker: PhaseAmps,
    parent_id: UUID | None = None,
    safe_current: PhaseAmps | None = None,
    assumed_other_load: PhaseAmps | None = None,
    bus: EventBus,
) -> UUID:
    """A new circuit below `parent_id` (None: the main breaker). Its breaker may exceed the parent's, which still protects it.

    A safe current of None is 0 A: without meter readings its chargers stand still.
    """
    async with in_transaction():
        await managed(access, installation_id, INSTALLERS)
        parent = await _parent(installation_id, parent_id)
        problems = Problems()
        row = Circuit(id=new_id(), installation_id=installation_id, parent_id=parent.id, name="", created_at=access.now)
        row.name = problems.text("name", name)
        _set(row, problems, breaker, safe_current or NONE, assumed_other_load or NONE)
        if await Circuit.filter(installation_id=installation_id, removed_at=None).count() >= MAX_CIRCUITS:
            message = f"An installation has at most {MAX_CIRCUITS} circuits."
            problems.add("installationId", message, ErrorCode.LIMIT_EXCEEDED)
        problems.raise_any()
        await row.save(force_create=True)
        await _audit(access, "circuit.create", row, None, _state(row))
    await bus.publish(InstallationChanged(installation_id=installation_id))
    return row.id


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChanges:
    """The fields of an update; what is UNSET stays. None: the main breaker as parent, no safe current, no other load."""

    parent_id: UUID | Unset | None = UNSET
    name: str | Unset | None = UNSET
    breaker: PhaseAmps | Unset | None = UNSET
    safe_current: PhaseAmps | Unset | None = UNSET
    assumed_other_load: PhaseAmps | Unset | None = UNSET
    has_meter: bool | Unset | None = UNSET
    """False: the meter was taken away, and what it read is forgotten. It comes with its first reading (domain.equipment.meters)."""


async def update_circuit(access: Access, circuit_id: UUID, changes: CircuitChanges, *, bus: EventBus) -> UUID:
    """The circuit has these values. ValidationError for a parent that hangs below it, and for a parent of the main breaker."""
    async with in_transaction():
        row = await managed_circuit(access, circuit_id)
        before = _state(row)
        problems = Problems()
        if not isinstance(changes.parent_id, Unset):
            await _hang(row, changes.parent_id, problems)
        if changes.name is None or changes.breaker is None:
            problems.add("name" if changes.name is None else "breakerA", "This cannot be empty.")
        if isinstance(changes.name, str):
            row.name = problems.text("name", changes.name)
        _set(
            row,
            problems,
            changes.breaker if isinstance(changes.breaker, PhaseAmps) else row.breaker,
            row.safe_current if isinstance(changes.safe_current, Unset) else changes.safe_current or NONE,
            row.assumed_other_load
            if isinstance(changes.assumed_other_load, Unset)
            else changes.assumed_other_load or NONE,
        )
        has_lost_meter = _loses_meter(row, changes.has_meter, problems)
        problems.raise_any()
        await row.save(update_fields=[*_COLUMNS, *_METER] if has_lost_meter else _COLUMNS)
        await _audit(access, "circuit.update", row, before, _state(row))
    await bus.publish(InstallationChanged(installation_id=row.installation_id))
    return circuit_id


def _loses_meter(row: Circuit, has_meter: bool | Unset | None, problems: Problems) -> bool:
    """Whether the row had a meter and has none from now on."""
    if isinstance(has_meter, Unset) or has_meter == (row.metered_at is not None):
        return False
    if has_meter is None:
        problems.add("hasMeter", "This cannot be empty.")
    elif has_meter:
        problems.add("hasMeter", "A circuit gets its meter by its first reading: report one.")
    else:
        row.meter_l1 = row.meter_l2 = row.meter_l3 = row.metered_at = row.meter_history = None
        return True
    return False


async def remove_circuit(access: Access, circuit_id: UUID, *, path: Path = ("id",), bus: EventBus) -> None:
    """The circuit is no longer in the tree. ConflictError (IN_USE) while chargers or circuits hang below it, or for the main breaker."""
    async with in_transaction():
        row = await managed_circuit(access, circuit_id, path=path)
        if row.parent_id is None:
            raise ConflictError("The main breaker cannot be removed.", code=ErrorCode.IN_USE, path=path)
        if await Charger.filter(circuit_id=row.id, removed_at=None).exists():
            raise ConflictError("Chargers hang on this circuit: move them first.", code=ErrorCode.IN_USE, path=path)
        if await Circuit.filter(parent_id=row.id, removed_at=None).exists():
            message = "Circuits hang below this one: move or remove them first."
            raise ConflictError(message, code=ErrorCode.IN_USE, path=path)
        row.removed_at = access.now
        await row.save(update_fields=["removed_at"])
        await _audit(access, "circuit.remove", row, _state(row), None)
    await bus.publish(InstallationChanged(installation_id=row.installation_id))


async def managed_circuit(access: Access, circuit_id: UUID, *, path: Path = ("circuitId",)) -> Circuit:
    """The circuit's row, its site locked until the transaction ends, for SERVICE and ADMINISTRATOR.

    NotFoundError when it is hidden, NotAllowedError when it is seen but not theirs to change.
    """
    access.signed_in()
    row = await Circuit.get_or_none(id=circuit_id, removed_at=None)
    if row is None or not access.sees_circuits(row.installation_id):
        raise NotFoundError(path=path)
    await managed(access, row.installation_id, INSTALLERS, path=path)
    locked = await Circuit.get_or_none(id=circuit_id, removed_at=None)
    if locked is None:
        raise NotFoundError(path=path)
    return locked


async def _parent(installation_id: UUID, parent_id: UUID | None) -> Circuit:
    if parent_id is None:
        return await root_of(installation_id)
    parent = await Circuit.get_or_none(id=parent_id, installation_id=installation_id, removed_at=None)
    if parent is None:
        raise NotFoundError(path=("parentId",))
    return parent


async def _hang(row: Circuit, parent_id: UUID | None, problems: Problems) -> None:
    """The row has that parent; a parent of its own tree, or of the main breaker, is a problem."""
    if row.parent_id is None:
        if parent_id is not None:
            problems.add("parentId", "The main breaker is the root of the tree and hangs below nothing.")
        return
    parent = await _parent(row.installation_id, parent_id)
    above = await _parents(row.installation_id)
    step: UUID | None = parent.id
    while step is not None:
        if step == row.id:
            problems.add("parentId", "This circuit hangs below the one that is to be moved.")
            return
        step = above.get(step)
    row.parent_id = parent.id


async def _parents(installation_id: UUID) -> dict[UUID, UUID | None]:
    found = await sql.rows(
        "SELECT id, parent_id FROM circuits WHERE installation_id = $1 AND removed_at IS NULL", installation_id
    )
    return {sql.uuid_of(row["id"]): sql.optional_uuid_of(row["parent_id"]) for row in found}


def _set(row: Circuit, problems: Problems, breaker: PhaseAmps, safe: PhaseAmps, assumed: PhaseAmps) -> None:
    problems.breakers("breakerA", breaker)
    problems.within("safeCurrentA", safe, breaker, of="the breaker")
    problems.within("assumedOtherLoadA", assumed, breaker, of="the breaker")
    row.breaker_l1, row.breaker_l2, row.breaker_l3 = breaker.as_tuple()
    row.safe_l1, row.safe_l2, row.safe_l3 = safe.as_tuple()
    row.assumed_l1, row.assumed_l2, row.assumed_l3 = assumed.as_tuple()


async def _audit(
    access: Access, action: str, row: Circuit, before: audit.State | None, after: audit.State | None
) -> None:
    await audit.record(
        access, action, "Circuit", row.id, installation_id=row.installation_id, before=before, after=after
    )


def _state(row: Circuit) -> audit.State:
    return {
        "name": row.name,
        "parentId": row.parent_id,
        "breakerA": row.breaker,
        "safeCurrentA": row.safe_current,
        "assumedOtherLoadA": row.assumed_other_load,
        "hasMeter": row.metered_at is not None,
    }
