"""Who may charge: the one decision behind Authorize, StartTransaction and remote start (domain.md §3, NATIVE)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.charging.live import Place, of_chargers, padded
from domain.roles import AuthorizationDecision, CommandAction, CredentialType, Role, SessionState

_SEPARATORS = re.compile(r"[\s:\-._]+")


def normalised_card_number(text: str) -> str:
    """The number as cards are compared: upper case, without separators."""
    return _SEPARATORS.sub("", text).upper()


@dataclass(frozen=True, slots=True)
class Person:
    """Whose a session is, with the names it takes along."""

    user_id: UUID
    user_name: str
    card_id: UUID | None = None
    card_name: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision and why, in words for people. `person` is who the credential belongs to, also where they may not charge."""

    decision: AuthorizationDecision
    reason: str
    credential: CredentialType
    person: Person | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether energy may flow."""
        return self.decision is AuthorizationDecision.ACCEPTED


@dataclass(frozen=True, slots=True)
class _Credential:
    kind: CredentialType
    person: Person
    is_blocked: bool
    charger_id: UUID | None
    """For which charger alone it was issued."""


@dataclass(frozen=True, slots=True)
class _Grant:
    installation_id: UUID
    charger_id: UUID | None
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known about a set of tokens, read once for many attempts."""

    known: Mapping[str, _Credential]
    grants: Mapping[UUID, Sequence[_Grant]]
    in_use: Mapping[str, Sequence[tuple[UUID, UUID | None]]]
    """Token → (installation, station) of the sessions that go on with it."""

    def verdict(self, place: Place, id_token: str | None, *, now: datetime) -> Verdict:
        """The decision for one token at one charger."""
        number = normalised_card_number(id_token or "")
        credential = self.known.get(number)
        person = credential.person if credential else None
        kind = credential.kind if credential else CredentialType.UNKNOWN
        decision, reason = self._judged(place, number, credential, now)
        return Verdict(decision, reason, kind, person)

    def _judged(
        self, place: Place, number: str, credential: _Credential | None, now: datetime
    ) -> tuple[AuthorizationDecision, str]:
        if not place.is_usable:
            return AuthorizationDecision.BLOCKED, "This charger is out of use."
        if not place.authentication_required:
            return AuthorizationDecision.ACCEPTED, "Nobody has to identify themselves here."
        if credential is None:
            return AuthorizationDecision.INVALID, "This card is not known here."
        if credential.charger_id not in (None, place.charger_id):
            return AuthorizationDecision.INVALID, "This start was asked for at another charger."
        if credential.is_blocked:
            return AuthorizationDecision.BLOCKED, "This card or account is blocked."
        decision, reason = self._permitted(place, credential.person.user_id, now)
        if (
            decision is AuthorizationDecision.ACCEPTED
            and not place.allows_concurrent
            and self._is_elsewhere(place, number)
        ):
            return AuthorizationDecision.CONCURRENT, "This card charges at another charger already."
        return decision, reason

    def _permitted(self, place: Place, user_id: UUID, now: datetime) -> tuple[AuthorizationDecision, str]:
        grants = [
            grant
            for grant in self.grants.get(user_id, ())
            if grant.installation_id == place.installation_id and grant.charger_id in (None, place.charger_id)
        ]
        begun = [grant for grant in grants if grant.valid_from <= now]
        if any(grant.valid_to is None or now < grant.valid_to for grant in begun):
            return AuthorizationDecision.ACCEPTED, "Permitted here."
        if begun:
            return AuthorizationDecision.EXPIRED, "The permission to charge here has ended."
        return AuthorizationDecision.BLOCKED, "This person has no permission to charge here."

    def _is_elsewhere(self, place: Place, number: str) -> bool:
        return any(
            installation_id == place.installation_id and station_id != place.station_id
            for installation_id, station_id in self.in_use.get(number, ())
        )


NOTHING_KNOWN = Credentials({}, {}, {})


async def credentials_for(tokens: Iterable[str | None]) -> Credentials:
    """What is known about these tokens, for verdicts at any charger."""
    numbers = sorted({normalised_card_number(token) for token in tokens if token})
    if not numbers:
        return NOTHING_KNOWN
    known = {**await _cards(numbers), **await _remote_starts(numbers)}
    return Credentials(
        known=known,
        grants=await _grants([one.person.user_id for one in known.values()]),
        in_use=await _in_use(numbers),
    )


async def decide(charger_id: UUID, id_token: str | None, *, now: datetime) -> Verdict:
    """The decision for one token at one charger, as a remote start asks for it; BLOCKED where there is no such charger."""
    credentials = await credentials_for([id_token])
    for connector in await of_chargers([charger_id]):
        return credentials.verdict(connector.place, id_token, now=now)
    return Verdict(AuthorizationDecision.BLOCKED, "There is no such charger.", CredentialType.UNKNOWN)


async def _cards(numbers: Sequence[str]) -> dict[str, _Credential]:
    arguments: list[object] = []
    wanted = sql.any_of("c.number", numbers, arguments)
    found = await sql.rows(
        "SELECT c.id, c.number, c.name, c.is_blocked, u.id AS user_id, u.name AS user_name, u.is_active"  # noqa: S608
        f" FROM charge_cards c JOIN users u ON u.id = c.user_id WHERE {wanted}",
        *arguments,
    )
    return {
        row["number"]: _Credential(
            kind=CredentialType.CARD,
            person=Person(sql.uuid_of(row["user_id"]), row["user_name"], sql.uuid_of(row["id"]), row["name"]),
            is_blocked=bool(row["is_blocked"]) or not row["is_active"],
            charger_id=None,
        )
        for row in found
    }


async def _remote_starts(numbers: Sequence[str]) -> dict[str, _Credential]:
    """Tokens that our own commands made up: each belongs to the person of its command and works at its charger only."""
    arguments: list[object] = [CommandAction.START]
    wanted = sql.any_of("m.id_token", numbers, arguments)
    found = await sql.rows(
        "SELECT m.id_token, m.charger_id, u.id AS user_id, u.name AS user_name, u.is_active"  # noqa: S608
        " FROM commands m JOIN users u ON u.id = COALESCE(m.for_user_id, m.requested_by_id)"
        f" WHERE m.action = $1 AND {wanted}",
        *arguments,
    )
    return {
        row["id_token"]: _Credential(
            kind=CredentialType.APP,
            person=Person(sql.uuid_of(row["user_id"]), row["user_name"]),
            is_blocked=not row["is_active"],
            charger_id=sql.uuid_of(row["charger_id"]),
        )
        for row in found
    }


async def _grants(user_ids: Sequence[UUID]) -> dict[UUID, list[_Grant]]:
    if not user_ids:
        return {}
    arguments: list[object] = [Role.USER, Role.OWNER]
    wanted = sql.any_of("user_id", padded(user_ids), arguments)
    found = await sql.rows(
        "SELECT user_id, installation_id, charger_id, valid_from, valid_to FROM permissions"  # noqa: S608
        f" WHERE role IN ($1, $2) AND revoked_at IS NULL AND {wanted}",
        *arguments,
    )
    grants: dict[UUID, list[_Grant]] = {}
    for row in found:
        grant = _Grant(
            installation_id=sql.uuid_of(row["installation_id"]),
            charger_id=sql.optional_uuid_of(row["charger_id"]),
            valid_from=sql.instant_of(row["valid_from"]),
            valid_to=sql.optional_instant_of(row["valid_to"]),
        )
        grants.setdefault(sql.uuid_of(row["user_id"]), []).append(grant)
    return grants


async def _in_use(numbers: Sequence[str]) -> dict[str, list[tuple[UUID, UUID | None]]]:
    """Where these tokens charge right now; a session whose end is only awaited does not count."""
    arguments: list[object] = [SessionState.ACTIVE]
    wanted = sql.any_of("id_token", numbers, arguments)
    found = await sql.rows(
        "SELECT id_token, installation_id, station_id FROM charge_sessions"  # noqa: S608
        f" WHERE state = $1 AND inferred_end_due_at IS NULL AND {wanted}",
        *arguments,
    )
    places: dict[str, list[tuple[UUID, UUID | None]]] = {}
    for row in found:
        place = (sql.uuid_of(row["installation_id"]), sql.optional_uuid_of(row["station_id"]))
        places.setdefault(row["id_token"], []).append(place)
    return places
