"""The one decision behind Authorize, StartTransaction and remote start (domain.md §3), from what is known of a token."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from domain.authorization.attempts import RequestRecord
from domain.charging.live import Place
from domain.roles import (
    AuthorizationDecision,
    CredentialType,
    Decider,
    ExternalMode,
)

SERVES_FOR = timedelta(seconds=60)
"""How long a decision of an external system serves the same credential at the same station without being asked for again."""

LONGEST_CACHE = timedelta(days=30)
"""How long an answer may ask to be kept."""
REASON_LENGTH = 300
EXTERNAL_ID_LENGTH = 200

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
class Credential:
    """What a token is, and whose."""

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
class Grant:
    """A permission to charge, with its time."""

    installation_id: UUID
    charger_id: UUID | None
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Use:
    """Where a charge goes on."""

    installation_id: UUID
    station_id: UUID | None
    charger_id: UUID


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known about a set of tokens, read once for many attempts, and kept in step with what comes of them."""

    known: dict[str, Credential] = field(default_factory=dict)
    grants: Mapping[UUID, Sequence[Grant]] = field(default_factory=dict)
    in_use: dict[str, dict[UUID, Use]] = field(default_factory=dict)
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
        self.in_use.setdefault(number, {})[session_id] = Use(place.installation_id, place.station_id, place.charger_id)
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

    def _native(self, place: Place, number: str, credential: Credential | None, occasion: Occasion) -> Verdict:
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
        self, place: Place, number: str, credential: Credential | None, occasion: Occasion
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
        decision, reason = self.permitted(place, credential.person.user_id, occasion.at)
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

    def permitted(self, place: Place, user_id: UUID, at: datetime) -> tuple[AuthorizationDecision, str]:
        """What the person's permissions say about charging there."""
        grants = [
            grant
            for grant in self.grants.get(user_id, ())
            if grant.installation_id == place.installation_id and grant.charger_id in (None, place.charger_id)
        ]
        begun = [grant for grant in grants if grant.valid_from <= at]
        if any(grant.valid_to is None or at < grant.valid_to for grant in begun):
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


def _serving(place: Place, credential: Credential | None, occasion: Occasion) -> Opening | None:
    """The opening of that charger by which the person may charge now."""
    if credential is None or credential.is_blocked or not place.is_usable or credential.charger_id != place.charger_id:
        return None
    return credential.opening if credential.opening is not None and credential.opening.serves(occasion) else None


def _is_to_be_asked(place: Place, native: Verdict, credential: Credential | None, number: str) -> bool:
    """Whether it is the external system's to decide: not what is out of use, open to all, opened for somebody, or blocked here."""
    if not place.is_usable or native.decided_by is not Decider.NATIVE or not number:
        return False
    if credential is None:
        return True
    is_blocked = credential.is_blocked or place.installation_id in credential.blocked_at
    return credential.charger_id in (None, place.charger_id) and not is_blocked
