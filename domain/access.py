"""THE door: which rows a caller may see or manage. Every use case for people and programs takes an `Access` first and asks it.

People hold roles, programs hold scopes at the installations of their service account (domain.md §2, §4). Conditions are
SQL fragments over the caller's alias, so that a list, its count, its filters and its order all reach only what the caller
may see. Hidden and absent look the same: whoever finds nothing through these conditions answers with null, an empty list
or NotFoundError.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

from domain import sql
from domain.errors import NotAllowedError, NotFoundError, UnauthenticatedError
from domain.roles import Actor, Right, Role, Scope

NOTHING_HELD: frozenset[Right] = frozenset()
_SITE_STAFF = frozenset({Role.OWNER, Role.SERVICE, Role.ADMINISTRATOR})
OBSERVERS: frozenset[Right] = _SITE_STAFF | {Scope.READ_STATUS, Scope.SET_AVAILABLE_CURRENT}
"""Who sees circuits, what chargers are, and the balancer at work."""
CONTROLLERS: frozenset[Right] = _SITE_STAFF | {Scope.CONTROL_CHARGING}
"""Who may stop or pause another's charge."""
CURRENT_SETTERS: frozenset[Right] = _SITE_STAFF | {Scope.SET_AVAILABLE_CURRENT}
"""Who says how much current the site may draw."""
MANAGERS: frozenset[Right] = frozenset(_SITE_STAFF)
"""Who may change what an installation or charger is called and how it is used."""
INSTALLERS: frozenset[Right] = frozenset({Role.SERVICE, Role.ADMINISTRATOR})
"""Who may change breakers, circuits and chargers."""
SESSION_READERS: frozenset[Right] = frozenset({Role.OWNER, Scope.READ_SESSIONS})
"""Who sees all sessions."""
REPORTERS: frozenset[Right] = frozenset({Role.OWNER})
"""Who locks reports, and sees those that are locked."""
TARIFF_MANAGERS: frozenset[Right] = frozenset({Role.OWNER, Scope.MANAGE_TARIFFS})
"""Who sees and sets what charging costs."""
GRANTERS: frozenset[Right] = frozenset({Role.OWNER, Scope.MANAGE_PERMISSIONS})
"""Who decides who else may charge; administrators do everywhere."""
CARD_MANAGERS: frozenset[Right] = frozenset({Role.OWNER, Role.ADMINISTRATOR, Scope.MANAGE_CARDS})
"""Who keeps the cards of those who may charge."""
SITE_RULERS: frozenset[Right] = frozenset({Role.OWNER, Role.ADMINISTRATOR})
"""Who sets how people identify themselves, makes service accounts and reads the audit log."""
ALERT_HANDLERS: frozenset[Right] = MANAGERS
"""Who sees all alerts of a site, acknowledges them and is mailed about them; owners of a charger do for that charger."""
CHARGERS: frozenset[Right] = frozenset({Role.USER, Role.OWNER})
"""Who may charge."""
STARTERS: frozenset[Right] = CHARGERS | {Scope.CONTROL_CHARGING}
"""Who may ask for a charge to be started."""
AUTHORIZERS: frozenset[Right] = frozenset({Scope.AUTHORIZE_CHARGING})
"""Who is asked about attempts to charge."""

_INSTALLED: frozenset[Right] = frozenset({Role.SERVICE})
_ELECTRICAL: frozenset[Right] = INSTALLERS | {Scope.READ_STATUS}
_DETAILED: frozenset[Right] = OBSERVERS | {Role.USER}


class StatusView(Enum):
    """How much of a charger's live status someone sees: power, currents and session energy tell another's habits."""

    LITTLE = "mode, online, warnings and times"
    ELECTRICAL = "also power and currents, but not session energy or who"
    FULL = "all of it"


@dataclass(frozen=True, slots=True)
class ChargerGrant:
    """Roles held on one charger. `installation_id` is where it stood when granted: a grant does not move with it."""

    installation_id: UUID
    roles: frozenset[Right]
    owner_from: datetime | None
    """OWNER: sessions that began earlier are not theirs to see."""
    is_here: bool
    """Whether the charger still stands there."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller holds at one instant; loaded once for each request and renewed when a permission changes."""

    actor: Actor | None
    now: datetime
    installations: Mapping[UUID, frozenset[Right]] = field(default_factory=dict)
    chargers: Mapping[UUID, ChargerGrant] = field(default_factory=dict)

    @classmethod
    def nobody(cls, now: datetime) -> "Access":
        """Not signed in: sees nothing."""
        return cls(actor=None, now=now)

    def at(self, installation_id: UUID) -> "Access":
        """What they may do there, and nothing of who they are or may do elsewhere: the same for all who hold the same there."""
        if self.actor is None:
            return self
        held = self.installations.get(installation_id)
        return Access(
            actor=Actor(user_id=None, is_administrator=self.is_administrator),
            now=self.now,
            installations={} if held is None else {installation_id: held},
            chargers={key: grant for key, grant in self.chargers.items() if grant.installation_id == installation_id},
        )

    @property
    def is_administrator(self) -> bool:
        """Whether the account is portal-wide administrator."""
        return self.actor is not None and self.actor.is_administrator

    @property
    def user_id(self) -> UUID | None:
        """The person whose access it is; None for programs and when nobody is signed in."""
        return self.actor.user_id if self.actor else None

    @property
    def service_account_id(self) -> UUID | None:
        """The service account of a program; None for people."""
        return self.actor.service_account_id if self.actor else None

    def signed_in(self) -> Actor:
        """The actor; UnauthenticatedError when nobody is signed in."""
        if self.actor is None:
            raise UnauthenticatedError
        return self.actor

    def person(self) -> UUID:
        """The person who asks; NotAllowedError for programs, UnauthenticatedError when nobody is signed in."""
        user_id = self.signed_in().user_id
        if user_id is None:
            raise NotAllowedError("This is for people who are signed in, not for service accounts.")
        return user_id

    def roles_at(self, installation_id: UUID) -> frozenset[Right]:
        """Roles at the installation as a whole; a grant on a charger never reaches up."""
        held = self.installations.get(installation_id, NOTHING_HELD)
        return held | {Role.ADMINISTRATOR} if self.is_administrator else held

    def roles_at_charger(self, charger_id: UUID, installation_id: UUID) -> frozenset[Right]:
        """Roles at a charger that stands at that installation: the installation's reach down to it."""
        held = self.roles_at(installation_id)
        grant = self.chargers.get(charger_id)
        return held | grant.roles if grant and grant.installation_id == installation_id else held

    @staticmethod
    def shown_roles(held: Iterable[Right]) -> list[Role]:
        """The roles among what is held, in order."""
        return sorted(right for right in held if isinstance(right, Role))

    def require(self, held: Iterable[Right], allowed: frozenset[Right]) -> bool:
        """Whether any of these rights is among the allowed."""
        return not allowed.isdisjoint(held)

    def reads_sessions_of(self, installation_id: UUID) -> bool:
        """Whether all sessions of the installation exist for this caller."""
        return self.require(self.installations.get(installation_id, NOTHING_HELD), SESSION_READERS)

    def sees_reports_of(self, installation_id: UUID) -> bool:
        """Whether the installation's locked reports and schedules exist for this caller."""
        return self.require(self.installations.get(installation_id, NOTHING_HELD), REPORTERS)

    def sees_tariffs_of(self, installation_id: UUID) -> bool:
        """Whether the installation's tariffs exist for this caller."""
        return self.require(self.installations.get(installation_id, NOTHING_HELD), TARIFF_MANAGERS)

    def sees_installation(self, installation_id: UUID) -> bool:
        """Whether it exists for this person, perhaps only by name."""
        return bool(self.roles_at(installation_id)) or any(
            grant.installation_id == installation_id and grant.is_here for grant in self.chargers.values()
        )

    def sees_all_of_installation(self, installation_id: UUID) -> bool:
        """Whether more is seen of it than id, name and zone: any role on the whole."""
        return self.require(self.roles_at(installation_id), _DETAILED)

    def sees_circuits(self, installation_id: UUID) -> bool:
        """Whether its circuits exist for this person."""
        return self.require(self.roles_at(installation_id), OBSERVERS)

    def sees_charger(self, charger_id: UUID, installation_id: UUID) -> bool:
        """Whether the charger exists for this person."""
        return bool(self.roles_at_charger(charger_id, installation_id))

    def sees_charger_details(self, charger_id: UUID, installation_id: UUID) -> bool:
        """Whether more is seen of it than what one who may only charge there needs."""
        return self.require(self.roles_at_charger(charger_id, installation_id), OBSERVERS)

    def sees_session(
        self, *, installation_id: UUID, charger_id: UUID, user_id: UUID | None, started_at: datetime
    ) -> bool:
        """Whether the session exists for this person: their own, their installation's, or their charger's since the grant."""
        if self.actor is None:
            return False
        is_own = user_id is not None and user_id == self.user_id
        if is_own or self.reads_sessions_of(installation_id):
            return True
        grant = self.chargers.get(charger_id)
        return (
            grant is not None
            and grant.installation_id == installation_id
            and grant.owner_from is not None
            and started_at >= grant.owner_from
        )

    def handles_alerts_of(self, installation_id: UUID) -> bool:
        """Whether all alerts of the installation exist for this caller."""
        return self.require(self.roles_at(installation_id), ALERT_HANDLERS)

    def sees_alert(self, *, installation_id: UUID, charger_id: UUID | None) -> bool:
        """Whether an alert exists for this caller: their installation's, or that of the charger which they own there."""
        if self.handles_alerts_of(installation_id):
            return True
        grant = self.chargers.get(charger_id) if charger_id is not None else None
        return grant is not None and grant.installation_id == installation_id and Role.OWNER in grant.roles

    def status_view(self, charger_id: UUID, installation_id: UUID, session_user_id: UUID | None) -> StatusView:
        """How much of the live status is seen while `session_user_id` charges there (None: nobody known)."""
        held = self.roles_at_charger(charger_id, installation_id)
        is_own = session_user_id is not None and session_user_id == self.user_id
        if is_own or self.require(held, SESSION_READERS):
            return StatusView.FULL
        return StatusView.ELECTRICAL if self.require(held, _ELECTRICAL) else StatusView.LITTLE

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
        return sql.any_of(f"{alias}.installation_id", self._installations_with(OBSERVERS), arguments)

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
        return self._charging_condition(alias, "started_at", arguments)

    def sessions_conditions(self, alias: str, arguments: list[object]) -> list[str]:
        """As `sessions_condition`, by each right alone: a session that any of them lets through exists; appends to `arguments`."""
        return self._charging_conditions(alias, "started_at", arguments)

    def attempts_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `authorization_attempts`: they are seen as a session of that instant would be; appends to `arguments`."""
        return self._charging_condition(alias, "at", arguments)

    def alerts_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `alerts`, as `sees_alert`; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        parts = [sql.any_of(f"{alias}.installation_id", self._installations_with(ALERT_HANDLERS), arguments)]
        for charger_id, grant in sorted(self.chargers.items()):
            if Role.OWNER in grant.roles:
                arguments.extend((charger_id, grant.installation_id))
                last = len(arguments)
                parts.append(f"({alias}.charger_id = ${last - 1} AND {alias}.installation_id = ${last})")
        return f"({' OR '.join(parts)})"

    def asked_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `authorization_requests`: those at installations whose questions this program is asked; appends to
        `arguments`.
        """
        return sql.any_of(f"{alias}.installation_id", self._installations_with(AUTHORIZERS), arguments)

    def _charging_condition(self, alias: str, instant: str, arguments: list[object]) -> str:
        return f"({' OR '.join(self._charging_conditions(alias, instant, arguments))})"

    def _charging_conditions(self, alias: str, instant: str, arguments: list[object]) -> list[str]:
        if self.actor is None:
            return ["1 = 0"]
        parts = [self._own(f"{alias}.user_id", arguments)]
        for installation_id in self._installations_with(SESSION_READERS):
            arguments.append(installation_id)
            parts.append(f"{alias}.installation_id = ${len(arguments)}")
        for charger_id, grant in sorted(self.chargers.items()):
            if grant.owner_from is not None:
                arguments.extend((charger_id, grant.installation_id, grant.owner_from))
                last = len(arguments)
                parts.append(
                    f"({alias}.charger_id = ${last - 2} AND {alias}.installation_id = ${last - 1}"
                    f" AND {alias}.{instant} >= ${last})"
                )
        return parts

    def permissions_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `permissions`: one's own, also through groups, those that one could have granted, and invitations that
        one sent as SERVICE of the site, whose owner one names; appends to `arguments`.
        """
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        own, granting = self.own_permissions_condition(alias, arguments), self.granting_condition(alias, arguments)
        installed = sql.any_of(f"{alias}.installation_id", self._installations_with(_INSTALLED), arguments)
        sent = (
            f"{alias}.user_id IS NULL AND {alias}.group_id IS NULL AND {self._own(f'{alias}.granted_by_id', arguments)}"
        )
        return f"({own} OR {granting} OR ({installed} AND {sent}))"

    def own_permissions_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `permissions`: what the person who asks holds, also through groups; appends to `arguments`."""
        mine = f"SELECT own_m.group_id FROM group_members own_m WHERE {self._own('own_m.user_id', arguments)}"  # noqa: S608
        return f"({self._own(f'{alias}.user_id', arguments)} OR {alias}.group_id IN ({mine}))"

    def granting_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `permissions`: those on objects where this caller may grant; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        parts = [sql.any_of(f"{alias}.installation_id", self._installations_with(GRANTERS), arguments)]
        for charger_id, grant in sorted(self.chargers.items()):
            if Role.OWNER in grant.roles and grant.is_here:
                arguments.extend((charger_id, grant.installation_id))
                last = len(arguments)
                parts.append(f"({alias}.charger_id = ${last - 1} AND {alias}.installation_id = ${last})")
        return f"({' OR '.join(parts)})"

    def groups_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `user_groups`: one's own, those at installations where one may grant, and those that hold something
        on a charger where one may; appends to `arguments`.
        """
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        mine = f"SELECT own_m.group_id FROM group_members own_m WHERE {self._own('own_m.user_id', arguments)}"  # noqa: S608
        managed = self.managed_groups_condition(alias, arguments)
        granting = self.granting_condition("seen_h", arguments)
        holding = f"SELECT 1 FROM permissions seen_h WHERE seen_h.group_id = {alias}.id AND {granting}"  # noqa: S608
        return f"({alias}.id IN ({mine}) OR {managed} OR EXISTS ({holding}))"

    def managed_groups_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `user_groups`: those whose members this caller sees and changes; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        return sql.any_of(f"{alias}.installation_id", self._installations_with(GRANTERS), arguments)

    def tariffs_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `tariffs`; appends to `arguments`. Administrators see those of sites that they own, too."""
        return sql.any_of(f"{alias}.installation_id", self._installations_with(TARIFF_MANAGERS), arguments)

    def ruled_condition(self, column: str, arguments: list[object]) -> str:
        """A condition that holds where the column names an installation that this person rules; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        return sql.any_of(column, self._installations_with(SITE_RULERS), arguments)

    def service_accounts_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `service_accounts`: a program's own, and those at installations that this person rules; appends to
        `arguments`.
        """
        if self.is_administrator:
            return "1 = 1"
        if self.service_account_id is not None:
            arguments.append(self.service_account_id)
            return f"{alias}.id = ${len(arguments)}"
        ruled = self.ruled_condition("seen_a.installation_id", arguments)
        places = f"SELECT 1 FROM service_account_installations seen_a WHERE seen_a.account_id = {alias}.id AND {ruled}"  # noqa: S608
        return f"EXISTS ({places})"

    def service_places_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `service_account_installations`: a program's own, and those at installations that this person rules;
        appends to `arguments`.
        """
        if self.service_account_id is not None:
            arguments.append(self.service_account_id)
            return f"{alias}.account_id = ${len(arguments)}"
        return self.ruled_condition(f"{alias}.installation_id", arguments)

    def users_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `users`: oneself, and those whose permissions or sessions one sees; appends to `arguments`."""
        contacts = self.user_contacts_condition(alias, arguments)
        sessions = self.sessions_condition("seen_s", arguments)
        charged = f"SELECT 1 FROM charge_sessions seen_s WHERE seen_s.user_id = {alias}.id AND {sessions}"  # noqa: S608
        return f"({contacts} OR EXISTS ({charged}))"

    def user_contacts_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `users`: oneself, those whose permissions one sees or whose cards one keeps, members of groups that
        one manages, and those whom one knows by an id of one's own; appends to `arguments`.
        """
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        parts = [self._own(f"{alias}.id", arguments)]
        granted = self.granting_condition("seen_p", arguments)
        kept = sql.any_of("seen_p.installation_id", self._installations_with(CARD_MANAGERS), arguments)
        parts.append(f"EXISTS (SELECT 1 FROM permissions seen_p WHERE {_held_by(alias)} AND ({granted} OR {kept}))")  # noqa: S608
        managed = self.managed_groups_condition("seen_g", arguments)
        parts.append(
            "EXISTS (SELECT 1 FROM group_members seen_m JOIN user_groups seen_g ON seen_g.id = seen_m.group_id"  # noqa: S608
            f" WHERE seen_m.user_id = {alias}.id AND {managed})"
        )
        parts.append(self.known_users_condition(alias, arguments))
        return f"({' OR '.join(parts)})"

    def known_users_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `users`: those whom this program knows by an id of its own; appends to `arguments`."""
        if self.service_account_id is None:
            return "1 = 0"
        arguments.append(self.service_account_id)
        known = f"SELECT 1 FROM external_users seen_x WHERE seen_x.user_id = {alias}.id"  # noqa: S608
        return f"EXISTS ({known} AND seen_x.account_id = ${len(arguments)})"

    def cards_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `charge_cards`: one's own, those of sessions one sees, for who keeps the cards of an installation those
        of people who hold something there now, and those that one registered under an id of one's own; appends to `arguments`.
        """
        if self.is_administrator:
            return "1 = 1"
        if self.actor is None:
            return "1 = 0"
        own = self._own(f"{alias}.user_id", arguments)
        arguments.append(self.now)
        now = f"${len(arguments)}"
        kept = sql.any_of("seen_p.installation_id", self._installations_with(CARD_MANAGERS), arguments)
        held = (
            f"SELECT 1 FROM permissions seen_p WHERE {_held_by(alias, 'user_id')} AND {kept}"  # noqa: S608
            f" AND seen_p.revoked_at IS NULL AND (seen_p.valid_to IS NULL OR seen_p.valid_to > {now})"
        )
        sessions = self.sessions_condition("seen_s", arguments)
        # A session is its card holder's: so it is found among theirs, which an index lists.
        used = (
            f"SELECT 1 FROM charge_sessions seen_s WHERE seen_s.user_id = {alias}.user_id"  # noqa: S608
            f" AND seen_s.card_id = {alias}.id AND {sessions}"
        )
        pushed = "1 = 0"
        if self.service_account_id is not None:
            arguments.append(self.service_account_id)
            pushed = f"{alias}.external_account_id = ${len(arguments)}"
        return f"({own} OR {pushed} OR EXISTS ({held}) OR EXISTS ({used}))"

    def charger_details_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `chargers`: those of which more is seen than who may only charge needs; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        single = sorted(
            charger_id
            for charger_id, grant in self.chargers.items()
            if grant.is_here and self.require(grant.roles, OBSERVERS)
        )
        whole = sql.any_of(f"{alias}.installation_id", self._installations_with(OBSERVERS), arguments)
        return f"({whole} OR {sql.any_of(f'{alias}.id', single, arguments)})"

    def installing_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `chargers`: those that are this caller's to install; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        return sql.any_of(f"{alias}.installation_id", self._installations_with(INSTALLERS), arguments)

    def installation_details_condition(self, alias: str, arguments: list[object]) -> str:
        """A condition on rows of `installations`: those of which more is seen than the name; appends to `arguments`."""
        if self.is_administrator:
            return "1 = 1"
        return sql.any_of(f"{alias}.id", self._installations_with(_DETAILED), arguments)

    def installations_with(self, allowed: frozenset[Right]) -> list[UUID]:
        """The installations where one of these rights is held; an administrator's everywhere-right is not among them."""
        return self._installations_with(allowed)

    def _installations_with(self, allowed: frozenset[Right]) -> list[UUID]:
        return sorted(key for key, held in self.installations.items() if self.require(held, allowed))

    def _own(self, column: str, arguments: list[object]) -> str:
        """A condition that holds where the column names the person who asks; never for programs."""
        if self.user_id is None:
            return "1 = 0"
        arguments.append(self.user_id)
        return f"{column} = ${len(arguments)}"

    def manage_installation(self, installation_id: UUID, allowed: frozenset[Right], *, path: tuple[str, ...]) -> None:
        """Returns when one of the allowed rights is held there.

        NotFoundError when the installation is hidden, NotAllowedError when it is seen but not theirs to change.
        """
        if not self.sees_installation(installation_id):
            raise NotFoundError(path=path)
        _allow(self.roles_at(installation_id), allowed, path)

    def manage_charger(
        self, charger_id: UUID, installation_id: UUID, allowed: frozenset[Right], *, path: tuple[str, ...]
    ) -> None:
        """Returns when one of the allowed rights is held at the charger; errors as `manage_installation`."""
        roles = self.roles_at_charger(charger_id, installation_id)
        if not roles:
            raise NotFoundError(path=path)
        _allow(roles, allowed, path)


def anyone_holding(right: Right, installation_id: UUID, *, now: datetime) -> Access:
    """Nobody in particular who holds that right there. What is read so, once for many, is shown to those of whom their own `Access` says
    that they see it.
    """
    return Access(actor=Actor(user_id=None), now=now, installations={installation_id: frozenset({right})})


def _held_by(alias: str, column: str = "id") -> str:
    """A condition on `permissions seen_p`: it is that person's, by themselves or through a group."""
    theirs = f"SELECT held_m.group_id FROM group_members held_m WHERE held_m.user_id = {alias}.{column}"  # noqa: S608
    return f"(seen_p.user_id = {alias}.{column} OR seen_p.group_id IN ({theirs}))"


def _allow(held: frozenset[Right], allowed: frozenset[Right], path: tuple[str, ...]) -> None:
    if allowed.isdisjoint(held):
        roles = " or ".join(sorted(right.value for right in allowed if isinstance(right, Role)))
        scopes = " or ".join(sorted(right.value for right in allowed if isinstance(right, Scope)))
        wanted = " or ".join(part for part in (roles and f"the role {roles}", scopes and f"the scope {scopes}") if part)
        raise NotAllowedError(f"This needs {wanted} there; ask an owner of the installation.", path=path)


_GRANTS = """
SELECT p.role, p.installation_id, p.charger_id, p.valid_from, c.installation_id AS stands_at, c.removed_at
FROM permissions p LEFT JOIN chargers c ON c.id = p.charger_id
WHERE (p.user_id = $1 OR p.group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = $1))
  AND p.revoked_at IS NULL AND p.valid_from <= $2 AND (p.valid_to IS NULL OR p.valid_to > $2)
"""


_PERSON = "SELECT is_administrator FROM users WHERE id = $1 AND is_active AND erased_at IS NULL"
_IS_SIGNED_IN = " AND EXISTS (SELECT 1 FROM sign_ins WHERE id = $2 AND ended_at IS NULL)"


async def access_of(user_id: UUID, *, now: datetime, sign_in_id: UUID | None = None) -> Access:
    """What that person holds at `now`; nobody's access when the account or the sign-in has ended."""
    if sign_in_id is None:
        person = await sql.row(_PERSON, user_id)
    else:
        person = await sql.row(_PERSON + _IS_SIGNED_IN, user_id, sign_in_id)
    if person is None:
        return Access.nobody(now)
    installations: dict[UUID, frozenset[Right]] = {}
    chargers: dict[UUID, ChargerGrant] = {}
    for row in await sql.rows(_GRANTS, user_id, now):
        role, place = Role(row["role"]), sql.uuid_of(row["installation_id"])
        charger_id = sql.optional_uuid_of(row["charger_id"])
        if charger_id is None:
            installations[place] = installations.get(place, NOTHING_HELD) | {role}
        else:
            is_here = row["removed_at"] is None and sql.uuid_of(row["stands_at"]) == place
            grant = _joined(chargers.get(charger_id), place, role, sql.instant_of(row["valid_from"]), is_here=is_here)
            chargers[charger_id] = grant
    actor = Actor(user_id=user_id, is_administrator=bool(person["is_administrator"]), sign_in_id=sign_in_id)
    return Access(actor=actor, now=now, installations=installations, chargers=chargers)


_PROGRAM = """
SELECT a.scopes, t.scopes AS token_scopes, p.installation_id
FROM api_tokens t JOIN service_accounts a ON a.id = t.account_id
LEFT JOIN service_account_installations p ON p.account_id = a.id
WHERE t.id = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)
"""


async def access_of_program(account_id: UUID, api_token_id: UUID, *, now: datetime) -> Access:
    """What that token's holder may do at `now`: its scopes, as far as the account has them; nobody's access when it has ended."""
    rows = await sql.rows(_PROGRAM, api_token_id, now)
    if not rows:
        return Access.nobody(now)
    scopes = scopes_of(rows[0]["scopes"])
    if rows[0]["token_scopes"] is not None:
        scopes &= scopes_of(rows[0]["token_scopes"])
    places = (sql.optional_uuid_of(row["installation_id"]) for row in rows)
    held = {place: frozenset[Right](scopes) for place in places if place is not None and scopes}
    actor = Actor(user_id=None, service_account_id=account_id, api_token_id=api_token_id)
    return Access(actor=actor, now=now, installations=held)


def scopes_of(stored: str) -> frozenset[Scope]:
    """Scopes as they are stored: names, joined by commas."""
    return frozenset(Scope(name) for name in stored.split(",") if name)


async def renewed(access: Access, *, now: datetime) -> Access:
    """The same caller's access at `now`; nobody's when their sign-in or token has ended meanwhile."""
    actor = access.actor
    if actor is None:
        return Access.nobody(now)
    if actor.user_id is not None:
        return await access_of(actor.user_id, now=now, sign_in_id=actor.sign_in_id)
    if actor.service_account_id is None or actor.api_token_id is None:
        return Access.nobody(now)
    return await access_of_program(actor.service_account_id, actor.api_token_id, now=now)


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
