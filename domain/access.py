"""THE door: which rows a person may see or manage. Every use case for people takes an `Access` first and asks it.

Rights are those of domain.md §2. Conditions are SQL fragments over the caller's alias, so that a list, its count, its
filters and its order all reach only what the person may see. Hidden and absent look the same: whoever finds nothing
through these conditions answers with null, an empty list or NotFoundError.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

from domain import sql
from domain.errors import NotAllowedError, NotFoundError, UnauthenticatedError
from domain.roles import Actor, Role

NO_ROLES: frozenset[Role] = frozenset()
CONTROLLERS = frozenset({Role.OWNER, Role.SERVICE, Role.ADMINISTRATOR})
"""Who may stop or pause another's charge, and see the balancer at work."""
INSTALLERS = frozenset({Role.SERVICE, Role.ADMINISTRATOR})
"""Who may change breakers, circuits and chargers."""


OWNERS = frozenset({Role.OWNER})
"""Who sees all sessions and decides who else may charge."""


class StatusView(Enum):
    """How much of a charger's live status someone sees: power, currents and session energy tell another's habits."""

    LITTLE = "mode, online, warnings and times"
    ELECTRICAL = "also power and currents, but not session energy or who"
    FULL = "all of it"


@dataclass(frozen=True, slots=True)
class ChargerGrant:
    """Roles held on one charger. `installation_id` is where it stood when granted: a grant does not move with it."""

    installation_id: UUID
    roles: frozenset[Role]
    owner_from: datetime | None
    """OWNER: sessions that began earlier are not theirs to see."""
    is_here: bool
    """Whether the charger still stands there."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one person holds at one instant; loaded once for each request and renewed when a permission changes."""

    actor: Actor | None
    now: datetime
    installations: Mapping[UUID, frozenset[Role]] = field(default_factory=dict)
    chargers: Mapping[UUID, ChargerGrant] = field(default_factory=dict)

    @classmethod
    def nobody(cls, now: datetime) -> "Access":
        """Not signed in: sees nothing."""
        return cls(actor=None, now=now)

    @property
    def is_administrator(self) -> bool:
        """Whether the account is portal-wide administrator."""
        return self.actor is not None and self.actor.is_administrator

    @property
    def user_id(self) -> UUID | None:
        """Whose access it is."""
        return self.actor.user_id if self.actor else None

    def signed_in(self) -> Actor:
        """The actor; UnauthenticatedError when nobody is signed in."""
        if self.actor is None:
            raise UnauthenticatedError
        return self.actor

    def roles_at(self, installation_id: UUID) -> frozenset[Role]:
        """Roles at the installation as a whole; a grant on a charger never reaches up."""
        held = self.installations.get(installation_id, NO_ROLES)
        return held | {Role.ADMINISTRATOR} if self.is_administrator else held

    def roles_at_charger(self, charger_id: UUID, installation_id: UUID) -> frozenset[Role]:
        """Roles at a charger that stands at that installation: the installation's reach down to it."""
        held = self.roles_at(installation_id)
        grant = self.chargers.get(charger_id)
        return held | grant.roles if grant and grant.installation_id == installation_id else held

    def require(self, roles: Iterable[Role], allowed: frozenset[Role]) -> bool:
        """Whether any of these roles is among the allowed."""
        return not allowed.isdisjoint(roles)

    def sees_installation(self, installation_id: UUID) -> bool:
        """Whether it exists for this person, perhaps only by name."""
        return bool(self.roles_at(installation_id)) or any(
            grant.installation_id == installation_id and grant.is_here for grant in self.chargers.values()
        )

    def sees_all_of_installation(self, installation_id: UUID) -> bool:
        """Whether more is seen of it than id, name and zone: any role on the whole."""
        return bool(self.roles_at(installation_id))

    def sees_circuits(self, installation_id: UUID) -> bool:
        """Whether its circuits exist for this person."""
        return self.require(self.roles_at(installation_id), CONTROLLERS)

    def sees_charger(self, charger_id: UUID, installation_id: UUID) -> bool:
        """Whether the charger exists for this person."""
        return bool(self.roles_at_charger(charger_id, installation_id))

    def sees_charger_details(self, charger_id: UUID, installation_id: UUID) -> bool:
        """Whether more is seen of it than what one who may only charge there needs."""
        return self.require(self.roles_at_charger(charger_id, installation_id), CONTROLLERS)

    def sees_session(
        self, *, installation_id: UUID, charger_id: UUID, user_id: UUID | None, started_at: datetime
    ) -> bool:
        """Whether the session exists for this person: their own, their installation's, or their charger's since the grant."""
        if self.actor is None:
            return False
        if user_id == self.actor.user_id or Role.OWNER in self.installations.get(installation_id, NO_ROLES):
            return True
        grant = self.chargers.get(charger_id)
        return (
            grant is not None
            and grant.installation_id == installation_id
            and grant.owner_from is not None
            and started_at >= grant.owner_from
        )

    def status_view(self, charger_id: UUID, installation_id: UUID, session_user_id: UUID | None) -> StatusView:
        """How much of the live status is seen while `session_user_id` charges there (None: nobody known)."""
        roles = self.roles_at_charger(charger_id, installation_id)
        if Role.OWNER in roles or (session_user_id is not None and session_user_id == self.user_id):
            return StatusView.FULL
        return StatusView.ELECTRICAL if self.require(roles, INSTALLERS) else StatusView.LITTLE

    def installations_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `installations`; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        seen = set(self.installations) | {grant.installation_id for grant in self.chargers.values() if grant.is_here}
        return sql.any_of(f"{alias}.id", sorted(seen), arguments)

    def circuits_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `circuits`; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        return sql.any_of(f"{alias}.installation_id", self._installations_with(CONTROLLERS), arguments)

    def chargers_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `chargers`; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        here = sorted(charger_id for charger_id, grant in self.chargers.items() if grant.is_here)
        whole = sql.any_of(f"{alias}.installation_id", sorted(self.installations), arguments)
        single = sql.any_of(f"{alias}.id", here, arguments)
        return f"({whole} OR {single})"

    def sessions_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `charge_sessions`; appends to `arguments`. Administrators see only their own, too."""
        if self.actor is None:
            return "1 = 0"
        arguments.append(self.actor.user_id)
        parts = [f"{alias}.user_id = ${len(arguments)}"]
        owned = self._installations_with(OWNERS)
        if owned:
            parts.append(sql.any_of(f"{alias}.installation_id", owned, arguments))
        for charger_id, grant in sorted(self.chargers.items()):
            if grant.owner_from is not None:
                arguments.extend((charger_id, grant.installation_id, grant.owner_from))
                last = len(arguments)
                parts.append(
                    f"({alias}.charger_id = ${last - 2} AND {alias}.installation_id = ${last - 1}"
                    f" AND {alias}.started_at >= ${last})"
                )
        return f"({' OR '.join(parts)})"

    def permissions_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `permissions`: one's own, and those that one could have granted; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        arguments.append(self.actor.user_id)
        own = f"{alias}.user_id = ${len(arguments)}"
        return f"({own} OR {self.granting_condition(alias, arguments)})"

    def granting_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `permissions`: those on objects where this person may grant; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        parts = [sql.any_of(f"{alias}.installation_id", self._installations_with(OWNERS), arguments)]
        for charger_id, grant in sorted(self.chargers.items()):
            if Role.OWNER in grant.roles and grant.is_here:
                arguments.extend((charger_id, grant.installation_id))
                last = len(arguments)
                parts.append(f"({alias}.charger_id = ${last - 1} AND {alias}.installation_id = ${last})")
        return f"({' OR '.join(parts)})"

    def users_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `users`: oneself, and those whose permissions or sessions one sees; appends to `arguments`."""
        contacts = self.user_contacts_condition(alias, arguments)
        sessions = self.sessions_condition("seen_s", arguments)
        charged = f"SELECT 1 FROM charge_sessions seen_s WHERE seen_s.user_id = {alias}.id AND {sessions}"  # noqa: S608
        return f"({contacts} OR EXISTS ({charged}))"

    def user_contacts_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `users`: oneself, and those whose permissions one sees; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        arguments.append(self.actor.user_id)
        own = f"{alias}.id = ${len(arguments)}"
        granted = self.granting_condition("seen_p", arguments)
        return f"({own} OR EXISTS (SELECT 1 FROM permissions seen_p WHERE seen_p.user_id = {alias}.id AND {granted}))"  # noqa: S608

    def cards_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `charge_cards`: one's own, those of sessions one sees, and, for an owner of an installation, those of
        people who hold something there now; appends to `arguments`.
        """
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        arguments.extend((self.actor.user_id, self.now))
        own, now = f"{alias}.user_id = ${len(arguments) - 1}", f"${len(arguments)}"
        owned = sql.any_of("seen_p.installation_id", self._installations_with(OWNERS), arguments)
        held = (
            f"SELECT 1 FROM permissions seen_p WHERE seen_p.user_id = {alias}.user_id AND {owned}"  # noqa: S608
            f" AND seen_p.revoked_at IS NULL AND (seen_p.valid_to IS NULL OR seen_p.valid_to > {now})"
        )
        sessions = self.sessions_condition("seen_s", arguments)
        # A session is its card holder's: so it is found among theirs, which an index lists.
        used = (
            f"SELECT 1 FROM charge_sessions seen_s WHERE seen_s.user_id = {alias}.user_id"  # noqa: S608
            f" AND seen_s.card_id = {alias}.id AND {sessions}"
        )
        return f"({own} OR EXISTS ({held}) OR EXISTS ({used}))"

    def charger_details_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `chargers`: those of which more is seen than who may only charge needs; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        single = sorted(
            charger_id
            for charger_id, grant in self.chargers.items()
            if grant.is_here and self.require(grant.roles, CONTROLLERS)
        )
        whole = sql.any_of(f"{alias}.installation_id", self._installations_with(CONTROLLERS), arguments)
        return f"({whole} OR {sql.any_of(f'{alias}.id', single, arguments)})"

    def installation_details_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `installations`: those of which more is seen than the name; appends to `arguments`."""
        return "1 = 1" if self.is_administrator else sql.any_of(f"{alias}.id", sorted(self.installations), arguments)

    def _installations_with(self, allowed: frozenset[Role]) -> list[UUID]:
        return sorted(key for key, roles in self.installations.items() if self.require(roles, allowed))

    def manage_installation(self, installation_id: UUID, allowed: frozenset[Role], *, path: tuple[str, ...]) -> None:
        """Returns when one of the allowed roles is held there.

        NotFoundError when the installation is hidden, NotAllowedError when it is seen but not theirs to change.
        """
        if not self.sees_installation(installation_id):
            raise NotFoundError(path=path)
        _allow(self.roles_at(installation_id), allowed, path)

    def manage_charger(
        self, charger_id: UUID, installation_id: UUID, allowed: frozenset[Role], *, path: tuple[str, ...]
    ) -> None:
        """Returns when one of the allowed roles is held at the charger; errors as `manage_installation`."""
        roles = self.roles_at_charger(charger_id, installation_id)
        if not roles:
            raise NotFoundError(path=path)
        _allow(roles, allowed, path)


def _allow(roles: frozenset[Role], allowed: frozenset[Role], path: tuple[str, ...]) -> None:
    if allowed.isdisjoint(roles):
        wanted = " or ".join(sorted(role.value for role in allowed))
        raise NotAllowedError(f"This needs the role {wanted} there; ask an owner of the installation.", path=path)


_GRANTS = """
SELECT p.role, p.installation_id, p.charger_id, p.valid_from, c.installation_id AS stands_at, c.removed_at
FROM permissions p LEFT JOIN chargers c ON c.id = p.charger_id
WHERE p.user_id = $1 AND p.revoked_at IS NULL AND p.valid_from <= $2 AND (p.valid_to IS NULL OR p.valid_to > $2)
"""


async def access_of(user_id: UUID, *, now: datetime, sign_in_id: UUID | None = None) -> Access:
    """What that person holds at `now`; nobody's access when the account or the sign-in has ended."""
    person = await sql.row(
        "SELECT is_administrator FROM users WHERE id = $1 AND is_active AND erased_at IS NULL", user_id
    )
    if person is None or (sign_in_id is not None and not await _is_signed_in(sign_in_id)):
        return Access.nobody(now)
    installations: dict[UUID, frozenset[Role]] = {}
    chargers: dict[UUID, ChargerGrant] = {}
    for row in await sql.rows(_GRANTS, user_id, now):
        role, place = Role(row["role"]), sql.uuid_of(row["installation_id"])
        charger_id = sql.optional_uuid_of(row["charger_id"])
        if charger_id is None:
            installations[place] = installations.get(place, NO_ROLES) | {role}
        else:
            is_here = row["removed_at"] is None and sql.uuid_of(row["stands_at"]) == place
            grant = _joined(chargers.get(charger_id), place, role, sql.instant_of(row["valid_from"]), is_here=is_here)
            chargers[charger_id] = grant
    actor = Actor(user_id=user_id, is_administrator=bool(person["is_administrator"]), sign_in_id=sign_in_id)
    return Access(actor=actor, now=now, installations=installations, chargers=chargers)


def _joined(
    known: ChargerGrant | None, place: UUID, role: Role, valid_from: datetime, *, is_here: bool
) -> ChargerGrant:
    owner_from = valid_from if role is Role.OWNER else None
    if known is None or (is_here and not known.is_here):
        return ChargerGrant(place, frozenset({role}), owner_from, is_here)
    if known.installation_id != place:
        return known
    earliest = min((at for at in (known.owner_from, owner_from) if at is not None), default=None)
    return ChargerGrant(place, known.roles | {role}, earliest, is_here)


async def _is_signed_in(sign_in_id: UUID) -> bool:
    found = await sql.row("SELECT 1 AS found FROM sign_ins WHERE id = $1 AND ended_at IS NULL", sign_in_id)
    return found is not None
