"""Who may charge: the one decision behind Authorize, StartTransaction and remote start (domain.md §3)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from domain import sql
from domain.charging.attempts import RequestRecord
from domain.charging.live import Place, padded, place_of
from domain.roles import (
    AuthorizationDecision,
    CommandAction,
    CredentialType,
    Decider,
    ExternalMode,
    Role,
    SessionState,
)

SERVES_FOR = timedelta(seconds=60)
"""How long a decision of an external system serves the same credential at the same station without being asked for again."""

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
class Opening:
    """A charger that is held open for one charge of a person (`authorizeCharging`)."""

    command_id: UUID
    until: datetime
    """Before then the charge begins: its deadline, or when it was withdrawn."""
    is_spent: bool = False
    session_id: UUID | None = None
    """The charge that it was spent on."""

    def serves(self, occasion: "Occasion") -> bool:
        """Whether a charge may begin with it, or go on that began with it."""
        if self.is_spent:
            return self.session_id is not None and self.session_id == occasion.session_id
        return occasion.at < self.until

    @property
    def refusal(self) -> str:
        """Why it does not serve."""
        return "This opening has been used." if self.is_spent else "This opening has ended."


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a token was shown, and for what."""

    now: datetime
    began_at: datetime | None = None
    """Of a charge that began while its charger was offline: about such nobody is asked any more."""
    session_id: UUID | None = None
    """The charge that goes on there, or that the message tells of again."""
    is_of_station: bool = False
    """Shown to the station: for which of its chargers is not known yet."""

    @property
    def at(self) -> datetime:
        """When the charge began, or begins."""
        return self.began_at or self.now


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision and why, in words for people. `person` is who the credential belongs to, also where they may not charge.

    `decision` None: an external system is to be asked; `native` is what we would say without it.
    """

    decision: AuthorizationDecision | None
    reason: str
    credential: CredentialType
    decided_by: Decider
    person: Person | None = None
    native: AuthorizationDecision = AuthorizationDecision.INVALID
    external_session_id: str | None = None
    request_id: UUID | None = None
    """The question to an external system that this comes from, or that is still open."""
    expires_at: datetime | None = None
    """Of a question that is open."""
    opening: Opening | None = None
    """What the acceptance relies on: the charge that begins with it spends it."""

    @property
    def is_accepted(self) -> bool:
        """Whether energy may flow."""
        return self.decision is AuthorizationDecision.ACCEPTED

    @property
    def is_degraded(self) -> bool:
        """Whether energy flows only because nobody answered."""
        return self.is_accepted and self.decided_by is Decider.FAIL_POLICY


@dataclass(frozen=True, slots=True)
class Standing:
    """A question about a token that was put to an external system of a site, with its answer if there is one yet."""

    request_id: UUID
    installation_id: UUID
    station_id: UUID | None
    is_shadow: bool
    decision: AuthorizationDecision | None
    decided_by: Decider | None
    reason: str | None
    external_session_id: str | None
    person: Person | None
    requested_at: datetime
    expires_at: datetime
    serves_until: datetime | None
    """At its station; None where there is no answer."""
    cache_until: datetime | None
    """At the whole site."""
    has_begun: bool = False
    """A charge relies on it."""

    def serves(self, place: Place, now: datetime) -> bool:
        """Whether it decides there now. What a fail policy permitted is for one charge; what it refused is asked again."""
        if self.decision is None or self.is_shadow:
            return False
        if self.decided_by is Decider.FAIL_POLICY and (
            self.has_begun or self.decision is not AuthorizationDecision.ACCEPTED
        ):
            return False
        return self.is_fresh(place, now) or (self.cache_until is not None and now < self.cache_until)

    def is_fresh(self, place: Place, now: datetime) -> bool:
        """Whether it was answered for that station just now."""
        return self.serves_until is not None and now < self.serves_until and self.station_id == place.station_id


@dataclass(frozen=True, slots=True)
class _Credential:
    kind: CredentialType
    person: Person
    is_blocked: bool
    blocked_at: frozenset[UUID] = frozenset()
    """Installations that do not take it."""
    charger_id: UUID | None = None
    """For which charger alone it was issued."""
    opening: Opening | None = None
    external_session_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Grant:
    installation_id: UUID
    charger_id: UUID | None
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class _Use:
    """Where a charge goes on."""

    installation_id: UUID
    station_id: UUID | None
    charger_id: UUID


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known about a set of tokens, read once for many attempts, and kept in step with what comes of them."""

    known: dict[str, _Credential] = field(default_factory=dict)
    grants: Mapping[UUID, Sequence[_Grant]] = field(default_factory=dict)
    in_use: dict[str, dict[UUID, _Use]] = field(default_factory=dict)
    """Token → sessions that go on with it and are not denied."""
    standing: dict[str, list[Standing]] = field(default_factory=dict)
    """Token → questions about it, newest first."""

    def verdict(self, place: Place, id_token: str | None, occasion: Occasion) -> Verdict:
        """The decision for one token at one charger."""
        number = normalised_card_number(id_token or "")
        credential = self.known.get(number)
        native = self._native(place, number, credential, occasion)
        if place.external_mode is not ExternalMode.ENFORCE or not _is_to_be_asked(place, native, credential, number):
            return native
        external = self._external(place, number, native, occasion)
        return native if occasion.began_at is not None and external.decision is None else external

    def spend(self, id_token: str, session_id: UUID | None) -> None:
        """The opening of that token is that charge's (None: another's), for verdicts from now on."""
        number = normalised_card_number(id_token)
        credential = self.known[number]
        if credential.opening is not None:
            opening = replace(credential.opening, is_spent=True, session_id=session_id)
            self.known[number] = replace(credential, opening=opening)

    def begins(self, id_token: str, session_id: UUID, place: Place, verdict: Verdict) -> None:
        """A charge goes on there with that token by that verdict, for others from now on."""
        number = normalised_card_number(id_token)
        self.in_use.setdefault(number, {})[session_id] = _Use(place.installation_id, place.station_id, place.charger_id)
        self.standing[number] = [
            replace(one, has_begun=True) if one.request_id == verdict.request_id else one
            for one in self.standing.get(number, ())
        ]

    def asks(self, request: RequestRecord) -> None:
        """That is asked, for whoever comes with the token from now on."""
        standing = Standing(
            request_id=request.id,
            installation_id=request.installation_id,
            station_id=request.station_id,
            is_shadow=request.is_shadow,
            decision=None,
            decided_by=None,
            reason=None,
            external_session_id=None,
            person=None,
            requested_at=request.requested_at,
            expires_at=request.expires_at,
            serves_until=None,
            cache_until=None,
        )
        self.standing[request.token] = [standing, *self.standing.get(request.token, ())]

    def ends(self, id_token: str, session_id: UUID) -> None:
        """That charge does not go on."""
        self.in_use.get(normalised_card_number(id_token), {}).pop(session_id, None)

    def is_comparable(self, place: Place, id_token: str | None, native: Verdict) -> bool:
        """Whether an external system would decide about this, if it were to."""
        number = normalised_card_number(id_token or "")
        return _is_to_be_asked(place, native, self.known.get(number), number)

    def open_shadow(self, place: Place, id_token: str | None, *, now: datetime) -> Standing | None:
        """A question about the token that was put to the site's system, for comparison only, less than a minute ago."""
        for one in self.standing.get(normalised_card_number(id_token or ""), ()):
            if one.is_shadow and one.station_id == place.station_id and one.requested_at + SERVES_FOR > now:
                return one
        return None

    def _native(self, place: Place, number: str, credential: _Credential | None, occasion: Occasion) -> Verdict:
        opening = _serving(place, credential, occasion)
        is_of_opening = credential is not None and credential.opening is not None
        decided_by = Decider.NATIVE
        if opening is not None or (is_of_opening and place.is_usable and place.authentication_required):
            decided_by = Decider.PRE_AUTHORIZED
        elif place.is_usable and not place.authentication_required:
            decided_by = Decider.ANONYMOUS
        if opening is not None:
            decision, reason = AuthorizationDecision.ACCEPTED, "Opened for this person."
        else:
            decision, reason = self._judged(place, number, credential, occasion)
        return Verdict(
            decision,
            reason,
            credential.kind if credential else CredentialType.UNKNOWN,
            decided_by,
            credential.person if credential else None,
            native=decision,
            external_session_id=credential.external_session_id if credential and opening else None,
            opening=opening,
        )

    def _judged(
        self, place: Place, number: str, credential: _Credential | None, occasion: Occasion
    ) -> tuple[AuthorizationDecision, str]:
        if not place.is_usable:
            return AuthorizationDecision.BLOCKED, "This charger is out of use."
        if not place.authentication_required:
            return AuthorizationDecision.ACCEPTED, "Nobody has to identify themselves here."
        if credential is None:
            return AuthorizationDecision.INVALID, "This card is not known here."
        if credential.charger_id not in (None, place.charger_id):
            return AuthorizationDecision.INVALID, "This start was asked for at another charger."
        if credential.is_blocked or place.installation_id in credential.blocked_at:
            return AuthorizationDecision.BLOCKED, "This card or account is blocked."
        if credential.opening is not None:
            return AuthorizationDecision.INVALID, credential.opening.refusal
        decision, reason = self.permitted(place, credential.person.user_id, occasion.now)
        if decision is AuthorizationDecision.ACCEPTED and self._is_concurrent(place, number, occasion):
            return AuthorizationDecision.CONCURRENT, _CONCURRENT
        return decision, reason

    def _external(self, place: Place, number: str, native: Verdict, occasion: Occasion) -> Verdict:
        """What the site's system said about the token, or that it is to be asked: not about one that charges elsewhere."""
        now = occasion.now
        asked = [one for one in self.standing.get(number, ()) if one.installation_id == place.installation_id]
        for one in asked:
            if one.decision is None or not one.serves(place, now):
                continue
            decided_by = one.decided_by if one.is_fresh(place, now) and one.decided_by is not None else Decider.CACHE
            decision, reason = one.decision, one.reason or SAID[one.decision]
            if decision is AuthorizationDecision.ACCEPTED and self._is_concurrent(place, number, occasion):
                decision, reason = AuthorizationDecision.CONCURRENT, _CONCURRENT
            return Verdict(
                decision,
                reason,
                native.credential,
                decided_by,
                native.person or one.person,
                native=native.native,
                external_session_id=one.external_session_id,
                request_id=one.request_id,
            )
        if self._is_concurrent(place, number, occasion):
            return replace(native, decision=AuthorizationDecision.CONCURRENT, reason=_CONCURRENT)
        waiting = next(
            (
                one
                for one in asked
                if one.decision is None
                and not one.is_shadow
                and now < one.expires_at
                and one.station_id == place.station_id
            ),
            None,
        )
        return Verdict(
            None,
            "The site's own system is being asked.",
            native.credential,
            Decider.SUBSCRIBER,
            native.person,
            native=native.native,
            request_id=waiting.request_id if waiting else None,
            expires_at=waiting.expires_at if waiting else None,
        )

    def permitted(self, place: Place, user_id: UUID, now: datetime) -> tuple[AuthorizationDecision, str]:
        """What the person's permissions say about charging there."""
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

    def _is_concurrent(self, place: Place, number: str, occasion: Occasion) -> bool:
        return not place.allows_concurrent and any(
            use.installation_id == place.installation_id
            and use.charger_id != place.charger_id
            and not (occasion.is_of_station and use.station_id == place.station_id)
            for use in self.in_use.get(number, {}).values()
        )


_CONCURRENT = "This card charges at another charger already."
SAID = {
    AuthorizationDecision.ACCEPTED: "The site's own system permits it.",
    AuthorizationDecision.BLOCKED: "The site's own system has blocked this credential.",
    AuthorizationDecision.EXPIRED: "The site's own system says that this credential has expired.",
    AuthorizationDecision.INVALID: "The site's own system does not know this credential.",
    AuthorizationDecision.CONCURRENT: "The site's own system says that this credential is in use already.",
}
"""Where a system gave no reason of its own."""


def _serving(place: Place, credential: _Credential | None, occasion: Occasion) -> Opening | None:
    """The opening of that charger by which the person may charge now."""
    if credential is None or credential.is_blocked or not place.is_usable or credential.charger_id != place.charger_id:
        return None
    return credential.opening if credential.opening is not None and credential.opening.serves(occasion) else None


def _is_to_be_asked(place: Place, native: Verdict, credential: _Credential | None, number: str) -> bool:
    """Whether it is the external system's to decide: not what is out of use, open to all, opened for somebody, or blocked here."""
    if not place.is_usable or native.decided_by is not Decider.NATIVE or not number:
        return False
    if credential is None:
        return True
    is_blocked = credential.is_blocked or place.installation_id in credential.blocked_at
    return credential.charger_id in (None, place.charger_id) and not is_blocked


async def credentials_for(tokens: Iterable[str | None], *, now: datetime, are_asked: bool = True) -> Credentials:
    """What is known about these tokens, for verdicts at any charger.

    `are_asked` False: none of the chargers has an external system, so that questions to one need not be looked for.
    """
    numbers = sorted({normalised_card_number(token) for token in tokens if token})
    if not numbers:
        return Credentials()
    known = {**await _cards(numbers), **await _remote_starts(numbers)}
    return Credentials(
        known=known,
        grants=await _grants([one.person.user_id for one in known.values()]),
        in_use=await _in_use(numbers),
        standing=await _standing(numbers, now) if are_asked else {},
    )


async def permission_of(charger_id: UUID, user_id: UUID, *, now: datetime) -> tuple[AuthorizationDecision, str, bool]:
    """(the decision, its reason, whether the site's external system has the last word) for a person without a credential."""
    place = await place_of(charger_id)
    if place is None:
        return AuthorizationDecision.BLOCKED, "There is no such charger.", False
    if not place.is_usable:
        return AuthorizationDecision.BLOCKED, "This charger is out of use.", False
    if not place.authentication_required:
        return AuthorizationDecision.ACCEPTED, "Nobody has to identify themselves here.", False
    credentials = Credentials(grants=await _grants([user_id]))
    decision, reason = credentials.permitted(place, user_id, now)
    return decision, reason, place.external_mode is ExternalMode.ENFORCE


async def _cards(numbers: Sequence[str]) -> dict[str, _Credential]:
    arguments: list[object] = []
    wanted = sql.any_of("c.number", numbers, arguments)
    found = await sql.rows(
        "SELECT c.id, c.number, c.name, c.is_blocked, u.id AS user_id, u.name AS user_name, u.is_active, u.erased_at,"  # noqa: S608
        " b.installation_id AS blocked_at FROM charge_cards c JOIN users u ON u.id = c.user_id"
        f" LEFT JOIN card_blocks b ON b.card_id = c.id WHERE {wanted}",
        *arguments,
    )
    blocks: dict[str, set[UUID]] = {}
    for row in found:
        if row["blocked_at"] is not None:
            blocks.setdefault(row["number"], set()).add(sql.uuid_of(row["blocked_at"]))
    return {
        row["number"]: _Credential(
            kind=CredentialType.CARD,
            person=Person(sql.uuid_of(row["user_id"]), row["user_name"], sql.uuid_of(row["id"]), row["name"]),
            is_blocked=bool(row["is_blocked"]) or not row["is_active"] or row["erased_at"] is not None,
            blocked_at=frozenset(blocks.get(row["number"], ())),
        )
        for row in found
    }


async def _remote_starts(numbers: Sequence[str]) -> dict[str, _Credential]:
    """Tokens that our own commands made up: each belongs to the person of its command and works at its charger only."""
    arguments: list[object] = [CommandAction.START, CommandAction.AUTHORIZE]
    wanted = sql.any_of("m.id_token", numbers, arguments)
    found = await sql.rows(
        "SELECT m.id, m.id_token, m.charger_id, m.action, m.deadline, m.finished_at, m.session_id, m.external_session_id,"  # noqa: S608
        " u.id AS user_id, u.name AS user_name, u.is_active, u.erased_at FROM commands m"
        " JOIN users u ON u.id = COALESCE(m.for_user_id, m.requested_by_id)"
        f" WHERE m.action IN ($1, $2) AND {wanted}",
        *arguments,
    )
    return {
        row["id_token"]: _Credential(
            kind=CredentialType.APP if row["action"] == CommandAction.START else CredentialType.REMOTE,
            person=Person(sql.uuid_of(row["user_id"]), row["user_name"]),
            is_blocked=not row["is_active"] or row["erased_at"] is not None,
            charger_id=sql.uuid_of(row["charger_id"]),
            opening=_opening(row) if row["action"] == CommandAction.AUTHORIZE else None,
            external_session_id=row["external_session_id"],
        )
        for row in found
    }


def _opening(row: sql.Row) -> Opening:
    deadline, finished_at = sql.instant_of(row["deadline"]), sql.optional_instant_of(row["finished_at"])
    session_id = sql.optional_uuid_of(row["session_id"])
    return Opening(
        command_id=sql.uuid_of(row["id"]),
        until=deadline if finished_at is None else min(deadline, finished_at),
        is_spent=session_id is not None,
        session_id=session_id,
    )


async def _grants(user_ids: Sequence[UUID]) -> dict[UUID, list[_Grant]]:
    """What lets these people charge, by themselves or through a group."""
    if not user_ids:
        return {}
    people = padded(user_ids)
    arguments: list[object] = [Role.USER, Role.OWNER]
    direct = sql.any_of("p.user_id", people, arguments)
    member = sql.any_of("m.user_id", people, arguments)
    columns = "p.installation_id, p.charger_id, p.valid_from, p.valid_to FROM permissions p"
    lasting = "p.role IN ($1, $2) AND p.revoked_at IS NULL"
    found = await sql.rows(
        f"SELECT p.user_id, {columns} WHERE {lasting} AND {direct} UNION ALL"
        f" SELECT m.user_id, {columns} JOIN group_members m ON m.group_id = p.group_id WHERE {lasting} AND {member}",
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


async def _in_use(numbers: Sequence[str]) -> dict[str, dict[UUID, _Use]]:
    """Where these tokens charge right now; a session whose end is only awaited does not count, nor one that was denied."""
    arguments: list[object] = [SessionState.ACTIVE]
    wanted = sql.any_of("id_token", numbers, arguments)
    found = await sql.rows(
        "SELECT id, id_token, installation_id, station_id, charger_id FROM charge_sessions"  # noqa: S608
        # Not a plain IS NULL: SQLite would take that for the rarest of the three and read almost every row.
        f" WHERE state = $1 AND CASE WHEN inferred_end_due_at IS NULL THEN 1 ELSE 0 END = 1 AND {wanted}"
        " AND (authorized_at IS NOT NULL OR EXISTS (SELECT 1 FROM authorization_attempts a"
        " WHERE a.session_id = charge_sessions.id AND a.decision IS NULL))",
        *arguments,
    )
    uses: dict[str, dict[UUID, _Use]] = {}
    for row in found:
        use = _Use(
            sql.uuid_of(row["installation_id"]),
            sql.optional_uuid_of(row["station_id"]),
            sql.uuid_of(row["charger_id"]),
        )
        uses.setdefault(row["id_token"], {})[sql.uuid_of(row["id"])] = use
    return uses


async def _standing(numbers: Sequence[str], now: datetime) -> dict[str, list[Standing]]:
    """Questions about these tokens whose answers still serve, or are awaited. That of an app start serves as long as its command."""
    arguments: list[object] = [now, now - SERVES_FOR, CredentialType.APP, Decider.FAIL_POLICY]
    wanted = sql.any_of("r.token", numbers, arguments)
    found = await sql.rows(
        "SELECT r.id, r.token, r.installation_id, r.station_id, r.is_shadow, r.decision, r.decided_by, r.reason, r.requested_at,"  # noqa: S608
        " r.decided_at, r.expires_at, r.cache_until, r.external_session_id, r.user_id, r.credential_type, u.name AS user_name,"
        " (SELECT MAX(m.deadline) FROM commands m WHERE m.id_token = r.token) AS deadline,"
        " r.decided_by = $4 AND EXISTS (SELECT 1 FROM authorization_attempts a"
        " WHERE a.request_id = r.id AND a.session_id IS NOT NULL) AS has_begun"
        f" FROM authorization_requests r LEFT JOIN users u ON u.id = r.user_id WHERE {wanted} AND (r.decided_at > $2"
        " OR r.cache_until > $1 OR r.requested_at > $2 OR r.credential_type = $3) ORDER BY r.requested_at DESC, r.id DESC",
        *arguments,
    )
    standing: dict[str, list[Standing]] = {}
    for row in found:
        standing.setdefault(row["token"], []).append(_one_standing(row))
    return standing


def _one_standing(row: sql.Row) -> Standing:
    user_id = sql.optional_uuid_of(row["user_id"])
    decided_at = sql.optional_instant_of(row["decided_at"])
    serves_until = None if decided_at is None else decided_at + SERVES_FOR
    deadline = sql.optional_instant_of(row["deadline"])
    if serves_until is not None and deadline is not None:
        serves_until = max(serves_until, deadline + SERVES_FOR)
    return Standing(
        request_id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        station_id=sql.optional_uuid_of(row["station_id"]),
        is_shadow=bool(row["is_shadow"]),
        decision=AuthorizationDecision(row["decision"]) if row["decision"] else None,
        decided_by=Decider(row["decided_by"]) if row["decided_by"] else None,
        reason=row["reason"],
        external_session_id=row["external_session_id"],
        person=None if user_id is None else Person(user_id, row["user_name"]),
        requested_at=sql.instant_of(row["requested_at"]),
        expires_at=sql.instant_of(row["expires_at"]),
        serves_until=serves_until,
        cache_until=sql.optional_instant_of(row["cache_until"]),
        has_begun=bool(row["has_begun"]),
    )
