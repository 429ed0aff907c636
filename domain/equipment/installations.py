"""Sites: made, changed, limited and looked up by people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit
from domain.access import INSTALLERS, MANAGERS, Access
from domain.checks import MAX_BREAKER_A, Problems
from domain.equipment.phase_rotation import unfit_chargers
from domain.errors import NotAllowedError, NotFoundError, Path
from domain.events import AvailabilityOutdated, Event, InstallationChanged, LocalListOutdated, PermissionChanged
from domain.ids import new_id
from domain.models import Circuit, Installation, Permission
from domain.ports import EventBus
from domain.roles import UNSET, InstallationCategory, NetworkType, Right, Role, Unset


@dataclass(frozen=True, slots=True)
class Address:
    """Where a site is."""

    street: str | None
    postal_code: str | None
    city: str | None
    country_code: str


MAIN_BREAKER = "Main breaker"


async def create_installation(
    access: Access,
    *,
    name: str,
    address: Address,
    time_zone: str,
    currency: str,
    category: InstallationCategory,
    network_type: NetworkType,
    main_breaker_a: float,
    bus: EventBus,
    is_open_to_all: bool = False,
) -> UUID:
    """A new site with its root circuit, the main breaker.

    Administrators make sites; where the operator opened it to all (`is_open_to_all`) anyone does, who then holds SERVICE
    there and names an owner.
    """
    user_id = access.person()
    if not (access.is_administrator or is_open_to_all):
        raise NotAllowedError("Only an administrator of the portal makes installations here.")
    problems = Problems()
    checked = _checked_address(problems, address)
    row = Installation(
        id=new_id(),
        name=problems.text("name", name),
        street=checked.street,
        postal_code=checked.postal_code,
        city=checked.city,
        country_code=checked.country_code,
        time_zone=problems.time_zone("timeZone", time_zone),
        currency=problems.currency("currency", currency),
        category=category,
        network_type=network_type,
        created_at=access.now,
    )
    breaker = problems.breaker("mainBreakerA", main_breaker_a)
    problems.raise_any()
    async with in_transaction():
        await row.save(force_create=True)
        await _make_root(row, breaker, access.now)
        if not access.is_administrator:
            await _hand_service(row.id, user_id, access.now)
        after = {**_state(row), "mainBreakerA": breaker}
        await audit.record(access, "installation.create", "Installation", row.id, installation_id=row.id, after=after)
    await bus.publish(InstallationChanged(installation_id=row.id))
    if not access.is_administrator:
        await bus.publish(PermissionChanged(user_id=user_id, installation_id=row.id))
    return row.id


def _checked_address(problems: Problems, address: Address) -> Address:
    return Address(
        street=problems.optional_text(("address", "street"), address.street),
        postal_code=problems.optional_text(("address", "postalCode"), address.postal_code, most=20),
        city=problems.optional_text(("address", "city"), address.city, most=100),
        country_code=problems.country(("address", "countryCode"), address.country_code),
    )


async def _make_root(installation: Installation, breaker: float, now: datetime) -> None:
    await Circuit.create(
        id=new_id(),
        installation_id=installation.id,
        parent_id=None,
        name=MAIN_BREAKER,
        breaker_l1=breaker,
        breaker_l2=breaker,
        breaker_l3=breaker,
        created_at=now,
    )


async def _hand_service(installation_id: UUID, user_id: UUID, now: datetime) -> None:
    await Permission.create(
        id=new_id(),
        user_id=user_id,
        installation_id=installation_id,
        charger_id=None,
        role=Role.SERVICE,
        valid_from=now,
        granted_by_id=user_id,
        granted_at=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationChanges:
    """The fields of an update; what is UNSET stays, None clears what may be empty."""

    name: str | Unset | None = UNSET
    address: Address | Unset | None = UNSET
    category: InstallationCategory | Unset | None = UNSET
    network_type: NetworkType | Unset | None = UNSET
    main_breaker_a: float | Unset | None = UNSET
    three_to_one_switch_a: float | Unset | None = UNSET
    is_active: bool | Unset | None = UNSET


_INSTALLERS_FIELDS: Mapping[str, str] = {
    "network_type": "networkType",
    "main_breaker_a": "mainBreakerA",
    "three_to_one_switch_a": "threeToOnePhaseSwitchCurrentA",
}
_FIELDS: Mapping[str, str] = {
    "name": "name",
    "address": "address",
    "category": "category",
    "is_active": "isActive",
    **_INSTALLERS_FIELDS,
}
_CLEARABLE = frozenset({"three_to_one_switch_a"})


async def update_installation(
    access: Access, installation_id: UUID, changes: InstallationChanges, *, bus: EventBus
) -> UUID:
    """The site has these values. Breaker, network and switch current need SERVICE or ADMINISTRATOR, the rest OWNER too."""
    async with in_transaction():
        row = await managed(access, installation_id, MANAGERS)
        _require_fields(access, installation_id, changes)
        root = await root_of(installation_id)
        before = {**_state(row), "mainBreakerA": root.breaker}
        problems = Problems()
        _apply(row, root, changes, problems)
        if not isinstance(changes.network_type, Unset) and changes.network_type is not None:
            for name in await unfit_chargers(installation_id, changes.network_type):
                problems.add("networkType", f"The phase rotation of charger {name} does not exist in this network.")
        problems.raise_any()
        await row.save()
        await root.save(update_fields=["breaker_l1", "breaker_l2", "breaker_l3"])
        after = {**_state(row), "mainBreakerA": root.breaker}
        await audit.record(
            access, "installation.update", "Installation", row.id, installation_id=row.id, before=before, after=after
        )
    events: list[Event] = [InstallationChanged(installation_id=installation_id)]
    if before["isActive"] != after["isActive"]:
        events.append(LocalListOutdated(installation_id=installation_id))
        events.append(AvailabilityOutdated(installation_id=installation_id))
    await bus.publish(*events)
    return installation_id


async def managed(
    access: Access, installation_id: UUID, allowed: frozenset[Right], *, path: Path = ("installationId",)
) -> Installation:
    """The site's row, locked until the transaction ends. NotFoundError when hidden, NotAllowedError without an allowed role."""
    access.signed_in()
    access.manage_installation(installation_id, allowed, path=path)
    row = await Installation.select_for_update(no_key=True).get_or_none(id=installation_id)
    if row is None:
        raise NotFoundError(path=path)
    return row


async def root_of(installation_id: UUID) -> Circuit:
    """The circuit of the main breaker."""
    return await Circuit.get(installation_id=installation_id, parent_id=None, removed_at=None)


def _require_fields(access: Access, installation_id: UUID, changes: InstallationChanges) -> None:
    for field, word in _INSTALLERS_FIELDS.items():
        if getattr(changes, field) is not UNSET:
            access.manage_installation(installation_id, INSTALLERS, path=(word,))


def _apply(row: Installation, root: Circuit, changes: InstallationChanges, problems: Problems) -> None:
    for field, word in _FIELDS.items():
        if getattr(changes, field) is None and field not in _CLEARABLE:
            problems.add(word, "This cannot be empty.")
    if isinstance(changes.name, str):
        row.name = problems.text("name", changes.name)
    if isinstance(changes.address, Address):
        checked = _checked_address(problems, changes.address)
        row.street, row.postal_code, row.city = checked.street, checked.postal_code, checked.city
        row.country_code = checked.country_code
    if isinstance(changes.category, InstallationCategory):
        row.category = changes.category
    if isinstance(changes.network_type, NetworkType):
        row.network_type = changes.network_type
    if isinstance(changes.is_active, bool):
        row.is_active = changes.is_active
    if isinstance(changes.main_breaker_a, float | int):
        breaker = problems.breaker("mainBreakerA", changes.main_breaker_a)
        root.breaker_l1 = root.breaker_l2 = root.breaker_l3 = breaker
        if not (root.safe_current.fits(root.breaker) and root.assumed_other_load.fits(root.breaker)):
            problems.add(
                "mainBreakerA", "The main breaker's safe current or other load is above this: change those first."
            )
    if changes.three_to_one_switch_a is None:
        row.three_to_one_switch_a = None
    elif isinstance(changes.three_to_one_switch_a, float | int):
        word = "threeToOnePhaseSwitchCurrentA"
        row.three_to_one_switch_a = problems.amps(word, changes.three_to_one_switch_a, least=6, most=MAX_BREAKER_A)


def _state(row: Installation) -> audit.State:
    return {
        "name": row.name,
        "street": row.street,
        "postalCode": row.postal_code,
        "city": row.city,
        "countryCode": row.country_code,
        "timeZone": row.time_zone,
        "currency": row.currency,
        "category": row.category,
        "networkType": row.network_type,
        "threeToOnePhaseSwitchCurrentA": row.three_to_one_switch_a,
        "isActive": row.is_active,
    }
