"""Attempts to charge in a batch: each is decided, noted with its reason, and put to the site's external system where that decides."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain.authorization.attempts import AttemptRecord, RequestRecord
from domain.authorization.credentials import credentials_for
from domain.authorization.decision import REASON_LENGTH, SERVES_FOR, Occasion, Verdict, normalised_card_number
from domain.charging import batch_writing, live
from domain.charging.batch import Batch
from domain.charging.live import Connector, Place
from domain.charging.reports import Outcome, Question, Report
from domain.charging.session_rules import Moment
from domain.charging.session_store import SessionRecord
from domain.events import Event
from domain.ids import new_id
from domain.observations import TokenPresented
from domain.roles import AuthorizationDecision, ExternalMode, StopReason


@dataclass(frozen=True, slots=True)
class Requested:
    """The decision about a start from afar; None while `question` is open. `events` are published after the commit."""

    decision: AuthorizationDecision | None
    reason: str
    question: Question | None = None
    events: tuple[Event, ...] = ()


def presented(batch: Batch, report: Report, observation: TokenPresented) -> Outcome:
    """The decision in force; where the message does not say for which connector, the most favourable one."""
    connectors = batch.connectors.get(report.station_id, [])
    here = [one for one in connectors if observation.evse in (None, one.place.evse)] or connectors
    if not here:
        return Outcome(decision=AuthorizationDecision.INVALID)
    token = observation.id_token
    is_of_station = observation.evse is None
    verdicts = []
    for one in here:
        occasion = Occasion(batch.now, session_id=one.live.session_id, is_of_station=is_of_station)
        verdicts.append((one, batch.credentials.verdict(one.place, token, occasion)))
    connector, verdict = min(verdicts, key=_favour)
    attempt = noted(batch, connector.place, token, verdict, at=batch.now)
    question = asked(batch, connector.place, token, verdict, attempt)
    return Outcome(decision=verdict.decision or AuthorizationDecision.INVALID, question=question)


def _favour(one: tuple[Connector, Verdict]) -> int:
    """An acceptance before a question before a refusal."""
    decision = one[1].decision
    return 1 if decision is None else 0 if decision is AuthorizationDecision.ACCEPTED else 2


def noted(
    batch: Batch,
    place: Place,
    id_token: str | None,
    verdict: Verdict,
    *,
    at: datetime,
    session_id: UUID | None = None,
) -> AttemptRecord:
    """The attempt that this verdict is about: one of the last minute with the same outcome, or a new one.

    With `session_id` it led to that session: of each session there is one.
    """
    token = normalised_card_number(id_token or "") or None
    reason = verdict.reason[:REASON_LENGTH]
    for known in reversed(batch.attempts):
        is_same = (
            token is not None
            and known.charger_id == place.charger_id
            and known.token == token
            and known.decision is verdict.decision
            and known.reason == reason
            and (session_id is None or known.session_id is None)
            and known.request_id == verdict.request_id
            and known.installation_id == place.installation_id
            and abs(at - known.at) <= SERVES_FOR
        )
        if is_same:
            if session_id is not None:
                batch.link(known, session_id)
            return known
    person = verdict.person
    attempt = AttemptRecord(
        id=new_id(),
        installation_id=place.installation_id,
        charger_id=place.charger_id,
        station_id=place.station_id,
        credential_type=verdict.credential,
        token=token,
        user_id=person.user_id if person else None,
        card_id=person.card_id if person else None,
        at=at,
        decision=verdict.decision,
        decided_by=None if verdict.decision is None else verdict.decided_by,
        reason=reason,
        request_id=verdict.request_id,
        session_id=session_id,
        external_session_id=verdict.external_session_id,
    )
    batch.note(attempt)
    return attempt


def asked(
    batch: Batch, place: Place, id_token: str | None, verdict: Verdict, attempt: AttemptRecord
) -> Question | None:
    """What is to be put to the site's external system: the decision, or only to compare what it would say."""
    if verdict.decision is None:
        if verdict.request_id is not None and verdict.expires_at is not None:
            return Question(verdict.request_id, place.installation_id, verdict.expires_at)
        request = _request(batch, place, id_token, verdict, is_shadow=False)
        attempt.request_id = request.id
        batch.ask(request)
        return Question(request.id, place.installation_id, request.expires_at, is_new=True)
    if not _is_compared(batch, place, id_token, verdict):
        return None
    request = _request(batch, place, id_token, verdict, is_shadow=True)
    batch.ask(request)
    return Question(request.id, place.installation_id, request.expires_at, is_shadow=True, is_new=True)


def _is_compared(batch: Batch, place: Place, id_token: str | None, verdict: Verdict) -> bool:
    return (
        place.external_mode is ExternalMode.SHADOW
        and bool(id_token)
        and batch.credentials.is_comparable(place, id_token, verdict)
        and batch.credentials.open_shadow(place, id_token, now=batch.now) is None
    )


def _request(batch: Batch, place: Place, id_token: str | None, verdict: Verdict, *, is_shadow: bool) -> RequestRecord:
    person = verdict.person
    return RequestRecord(
        id=new_id(),
        installation_id=place.installation_id,
        charger_id=place.charger_id,
        station_id=place.station_id,
        credential_type=verdict.credential,
        token=normalised_card_number(id_token or ""),
        user_id=person.user_id if person else None,
        card_id=person.card_id if person else None,
        requested_at=batch.now,
        expires_at=batch.now + timedelta(seconds=place.external_timeout_s),
        is_shadow=is_shadow,
        native_decision=verdict.native,
        called_at=batch.now,
    )


async def requested(charger_id: UUID, id_token: str, *, now: datetime) -> Requested:
    """The decision about a start that a person asked for, before it goes to the charger; noted like every other."""
    async with in_transaction():
        batch = Batch(now)
        connectors = await live.of_chargers([charger_id])
        if not connectors:
            return Requested(AuthorizationDecision.BLOCKED, "There is no such charger.")
        place = connectors[0].place
        batch.credentials = await credentials_for([id_token], now=now)
        verdict = batch.credentials.verdict(place, id_token, Occasion(now))
        attempt = noted(batch, place, id_token, verdict, at=now)
        question = asked(batch, place, id_token, verdict, attempt)
        await batch_writing.write_attempts(batch)
    return Requested(verdict.decision, verdict.reason, question, tuple(batch.events))


def occasion(batch: Batch, moment: Moment, session: SessionRecord | None) -> Occasion:
    """When a token is decided about: a charge that is told of afterwards, by what was right when it began."""
    began_at = moment.at if moment.is_offline else None
    return Occasion(batch.now, began_at=began_at, session_id=None if session is None else session.id)


def word_for(session: SessionRecord, token: str | None, verdict: Verdict) -> AuthorizationDecision:
    """The decision about a token of a session: what is still being asked goes on with the session that it has, and only there, until
    it is denied.
    """
    if verdict.decision is not None:
        return verdict.decision
    is_denied = session.stop_reason is StopReason.DEAUTHORIZED
    has_it = session.id_token == normalised_card_number(token or "") and not is_denied
    return AuthorizationDecision.ACCEPTED if has_it else AuthorizationDecision.INVALID
