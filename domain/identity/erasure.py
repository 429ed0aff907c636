"""A person is forgotten: name, addresses, cards and every key to them go, energy and bills stay (GDPR, article 17)."""

import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, Path, invalid
from domain.events import Event, LocalListOutdated, PermissionChanged, SignInEnded
from domain.identity.accounts import MAX_PASSWORD_LENGTH
from domain.identity.people import people_by_ids
from domain.membership.groups import leave_groups
from domain.membership.permission_book import is_last_gone, owners_of
from domain.models import Permission, SignIn, User
from domain.ports import Attempts, EventBus, Passwords
from domain.roles import DeliveryState, ExportState

_USER: Path = ("userId",)
FRESH_FOR = timedelta(minutes=10)
"""How long a sign-in proves that it is the person themselves, where they have no password."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves that it is the person themselves who asks."""

    passwords: Passwords
    attempts: Attempts
    address: str
    password: str | None = None


@dataclass(slots=True)
class _Traces:
    """Everything by which the person could be known."""

    user_id: UUID
    name: str
    email: str | None
    pseudonym: str
    cards: dict[UUID, str] = field(default_factory=dict)
    """Card → its number."""
    outside_emails: set[str] = field(default_factory=set)
    """As programs told them."""
    external_ids: set[str] = field(default_factory=set)

    @property
    def emails(self) -> Collection[str]:
        """Their addresses, as they and as programs told them."""
        return {one for one in (self.email, *self.outside_emails) if one}


async def erase_person(access: Access, user_id: UUID | None, *, proof: Proof, bus: EventBus) -> None:
    """The person (None: the actor) is forgotten.

    Oneself by the password, or by a fresh sign-in where there is none; others by an administrator.

    Their charges stay with energy and times, under a pseudonym of their own, so that totals by person still equal totals by charger.
    ConflictError (LAST_OWNER) for an installation's last owner, but by an administrator. NotFoundError for one who is hidden.
    """
    found = access.person() if user_id is None else user_id
    await _require_may(access, found, proof)
    async with in_transaction():
        person = await User.get_or_none(id=found, erased_at=None)
        if person is None:
            raise NotFoundError(path=_USER)
        traces = await _traces(person)
        events = await _end_rights(access, traces)
        await _forget_charges(traces)
        await _forget_account(traces, access.now)
        await _forget_lists(traces)
        await audit.record(access, "user.erase", "User", found)
        await _forget_words(traces, access.now)
    await bus.publish(*events)


async def _require_may(access: Access, user_id: UUID, proof: Proof) -> None:
    actor = access.signed_in()
    if user_id != access.user_id:
        if actor.is_administrator:
            return
        if await people_by_ids(access, [user_id]):
            raise NotAllowedError("A person is forgotten by themselves, or by an administrator.", path=_USER)
        raise NotFoundError(path=_USER)
    person = await User.get(id=user_id)
    if person.password_hash is None:
        await _require_fresh_sign_in(access)
        return
    async with proof.attempts.one(address=proof.address, account=str(user_id)) as attempt:
        given = (proof.password or "")[: MAX_PASSWORD_LENGTH + 1]
        if not await proof.passwords.matches(given, person.password_hash):
            raise invalid("password", "Prove that it is you with your password.", ErrorCode.WRONG_CREDENTIALS)
        attempt.is_right = True


async def _require_fresh_sign_in(access: Access) -> None:
    """Who has no password of their own proves themselves at the outside provider that they come from."""
    newest = await SignIn.get_or_none(id=access.signed_in().sign_in_id)
    if newest is None or newest.created_at < access.now - FRESH_FOR:
        message = "Sign in once more with your provider, and ask again within ten minutes."
        raise invalid("password", message, ErrorCode.WRONG_CREDENTIALS)


async def _traces(person: User) -> _Traces:
    cards = await sql.rows("SELECT id, number FROM charge_cards WHERE user_id = $1", person.id)
    known = await sql.rows(
        "SELECT external_id, email FROM external_users WHERE user_id = $1 UNION"
        " SELECT external_id, NULL AS email FROM charge_cards WHERE user_id = $1 AND external_id IS NOT NULL UNION"
        " SELECT external_id, email FROM permissions WHERE user_id = $1 AND external_id IS NOT NULL",
        person.id,
    )
    return _Traces(
        person.id,
        person.name,
        person.email,
        f"Erased person {secrets.token_hex(4).upper()}",
        {sql.uuid_of(row["id"]): row["number"] for row in cards},
        {row["email"] for row in known if row["email"]},
        {row["external_id"] for row in known if row["external_id"]},
    )


async def _end_rights(access: Access, traces: _Traces) -> list[Event]:
    """What they hold is over everywhere; ConflictError where nobody else would own the place."""
    now, user_id = access.now, traces.user_id
    rows = await sql.rows(_PLACES, user_id, traces.email)
    places = sorted(sql.uuid_of(row["installation_id"]) for row in rows)
    for place in places:
        await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_change()}", place)  # noqa: S608
    before = {place: await owners_of(place, now) for place in places}
    theirs = Permission.filter(user_id=user_id)
    await theirs.filter(revoked_at=None).update(revoked_at=now, revoked_by_id=access.signed_in().id)
    await theirs.update(external_id=None)
    if traces.email is not None:
        await Permission.filter(email=traces.email).update(
            email=None, user_id=user_id, revoked_at=now, invitation_digest=None, external_id=None
        )
    await leave_groups(user_id, now=now)
    for place in places:
        if not access.is_administrator and is_last_gone(before[place], await owners_of(place, now)):
            message = "This is the last owner of an installation: make another person OWNER there first."
            raise ConflictError(message, code=ErrorCode.LAST_OWNER, path=_USER)
    ended = [
        SignInEnded(user_id=user_id, sign_in_id=row.id) for row in await SignIn.filter(user_id=user_id, ended_at=None)
    ]
    changed = [PermissionChanged(user_id=user_id, installation_id=place) for place in places]
    return [*ended, *changed, *(LocalListOutdated(installation_id=place) for place in places)]


_PLACES = """
SELECT installation_id FROM permissions WHERE user_id = $1 OR email = $2
UNION SELECT g.installation_id FROM group_members m JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = $1
"""


async def _forget_charges(traces: _Traces) -> None:
    """Energy and times stay, and whose they are as a pseudonym; by which card, and how it is called elsewhere, goes."""
    user_id, numbers = traces.user_id, sorted(traces.cards.values())
    signed: list[object] = [user_id]
    whose = f"user_id = $1 OR {sql.any_of('id_token', numbers, signed)}"
    # A meter signs for whom it counted: without their card the signature would be of nothing, so the record goes as a whole.
    await sql.execute(
        f"DELETE FROM signed_records WHERE session_id IN (SELECT id FROM charge_sessions WHERE {whose})",  # noqa: S608
        *signed,
    )
    await sql.execute(
        "UPDATE charge_sessions SET user_name = $2, card_name = NULL, card_id = NULL, id_token = NULL, external_id = NULL"
        " WHERE user_id = $1",
        user_id,
        traces.pseudonym,
    )
    # What was locked stays as it is; its names and cards, which its digest is not of, go.
    await sql.execute("UPDATE locked_names SET name = $2 WHERE user_id = $1", user_id, traces.pseudonym)
    await sql.execute("UPDATE locked_lines SET card_id = NULL WHERE user_id = $1", user_id)
    shown: list[object] = []
    by_card = sql.any_of("id_token", numbers, shown)
    # Also what began with their card before it was known whose it is.
    await sql.execute(f"UPDATE charge_sessions SET id_token = NULL WHERE {by_card}", *shown)  # noqa: S608
    arguments: list[object] = [user_id]
    theirs = f"(user_id = $1 OR {sql.any_of('token', numbers, arguments)})"
    await sql.execute(
        "UPDATE authorization_attempts SET token = NULL, card_id = NULL, external_session_id = NULL,"  # noqa: S608
        f" reason = CASE WHEN request_id IS NULL THEN reason END WHERE {theirs}",
        *arguments,
    )
    await sql.execute(f"DELETE FROM authorization_requests WHERE {theirs}", *arguments)  # noqa: S608
    await sql.execute("UPDATE commands SET external_session_id = NULL WHERE for_user_id = $1", user_id)
    events = await sql.rows(
        "SELECT e.id, e.payload FROM session_events e JOIN charge_sessions s ON s.id = e.session_id WHERE s.user_id = $1",
        user_id,
    )
    for row in events:
        content = json.loads(row["payload"])
        session = content.get("data", {}).get("session", {})
        session["externalUserId"] = session["externalId"] = None
        payload = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        await sql.execute("UPDATE session_events SET payload = $2 WHERE id = $1", row["id"], payload)


_GONE = (
    "alert_subscriptions",
    "charge_cards",
    "card_enrollments",
    "external_users",
    "open_id_links",
    "recovery_codes",
    "mailed_secrets",
    "sign_ins",
    "idempotency_keys",
)
"""Tables whose rows of the person go."""


async def _forget_account(traces: _Traces, now: datetime) -> None:
    user_id = traces.user_id
    for table in _GONE:
        await sql.execute(f"DELETE FROM {table} WHERE user_id = $1", user_id)  # noqa: S608  names of ours
    await sql.execute(
        "UPDATE exports SET state = $2, expires_at = $3, parameters = $4, file_name = NULL WHERE user_id = $1",
        user_id,
        ExportState.EXPIRED,
        now,
        "{}",
    )
    await User.filter(id=user_id).update(
        name=traces.pseudonym,
        email=None,
        email_verified_at=None,
        password_hash=None,
        totp_secret=None,
        totp_confirmed_at=None,
        totp_last_step=None,
        import_key=None,
        is_administrator=False,
        is_active=False,
        erased_at=now,
    )


async def _forget_lists(traces: _Traces) -> None:
    """What a station holds counts as unknown where one of the cards is in it: it is given a whole list without them."""
    for row in await sql.rows("SELECT station_id, entries FROM local_lists"):
        if not json.loads(row["entries"]).keys().isdisjoint(traces.cards.values()):
            await sql.execute(
                "UPDATE local_lists SET version = 0, entries = '{}' WHERE station_id = $1", row["station_id"]
            )


async def _forget_words(traces: _Traces, now: datetime) -> None:
    """Letters that were not sent yet are not sent; the audit log goes on under the pseudonym."""
    await _forget_letters(traces, now)
    await _forget_answers(traces)
    await sql.execute("UPDATE audit_entries SET actor = $2 WHERE actor_id = $1", traces.user_id, traces.pseudonym)
    await _forget_changes(traces)


async def _forget_reports(traces: _Traces, now: datetime) -> None:
    """Scheduled reports do not go to them any more, and the log of those that went names nobody."""
    over = f"CASE WHEN state = '{DeliveryState.WAITING}'"  # an enum's value
    changes = f"error = {over} THEN 'This person was erased.' ELSE error END, state = {over} THEN '{DeliveryState.FAILED}' ELSE state END"
    changed = f"UPDATE report_deliveries SET recipient = $2, at = COALESCE(at, $3), {changes} WHERE "  # noqa: S608
    await sql.execute(f"{changed} user_id = $1", traces.user_id, traces.pseudonym, now)
    if traces.email is None:
        return
    await sql.execute(f"{changed} subject = $1", traces.email, traces.pseudonym, now)
    await sql.execute("UPDATE report_deliveries SET subject = $2 WHERE subject = $1", traces.email, traces.pseudonym)
    for row in await sql.rows("SELECT id, recipients FROM report_schedules"):
        recipients = json.loads(row["recipients"])
        if traces.email in recipients:
            kept = json.dumps([one for one in recipients if one != traces.email], ensure_ascii=False)
            await sql.execute("UPDATE report_schedules SET recipients = $2 WHERE id = $1", row["id"], kept)


async def _forget_letters(traces: _Traces, now: datetime) -> None:
    await _forget_reports(traces, now)
    if traces.email is None:
        return
    # Others may have wished for mails to it.
    await sql.execute("DELETE FROM alert_subscriptions WHERE email = $1", traces.email)
    # Another's account may wait for a proof that the address is theirs.
    await sql.execute("DELETE FROM mailed_secrets WHERE email = $1", traces.email)
    to = _anywhere(f'"to":{_quoted(traces.email)}')
    await sql.execute(f"DELETE FROM outbox WHERE {sql.folded('payload')} LIKE $1 ESCAPE '!'", to)  # noqa: S608
    said = f"UPDATE outbox SET error = NULL WHERE {sql.folded('error')} LIKE $1 ESCAPE '!'"  # noqa: S608
    await sql.execute(said, _anywhere(traces.email))


async def _forget_answers(traces: _Traces) -> None:
    """Answers that others can still have repeated, as of an import, name nobody any more."""
    words = {traces.name, *traces.emails, *traces.external_ids}
    for word in sorted(words):
        rows = await sql.rows(
            f"SELECT id, result_json FROM idempotency_keys WHERE {sql.folded('result_json')} LIKE $1 ESCAPE '!'",  # noqa: S608
            _anywhere(_quoted(word)[1:-1]),
        )
        for row in rows:
            answer = _without(row["result_json"], words, traces.pseudonym)
            await sql.execute("UPDATE idempotency_keys SET result_json = $2 WHERE id = $1", row["id"], answer)


async def _forget_changes(traces: _Traces) -> None:
    """The log still says what was done and when: not to whom, in the words of any time, nor how their cards are called."""
    for row in await _changes(traces):
        states = [_impersonal(row[name], traces.pseudonym) for name in _STATES]
        await sql.execute(
            "UPDATE audit_entries SET state_before = $2, state_after = $3 WHERE id = $1", row["id"], *states
        )


async def _changes(traces: _Traces) -> list[sql.Row]:
    """Entries about them: by their id, by a card or a card to come of theirs, and by an address, which nobody else has.

    Not by their name: somebody else may be called the same, and the log about them is not touched.
    """
    arguments: list[object] = [traces.user_id, f'%"userId":"{traces.user_id}"%']
    named = " OR ".join(f"{state} LIKE $2" for state in _STATES)
    cards = f"SELECT object_id FROM audit_entries WHERE object_type = 'ChargeCard' AND ({named})"  # noqa: S608  parts of ours
    parts = [f"object_id = $1 OR {named} OR object_id IN ({cards})"]
    for email in sorted(traces.emails):
        arguments.append(_anywhere(f'"email":{_quoted(email)}'))
        parts += [f"{sql.folded(state)} LIKE ${len(arguments)} ESCAPE '!'" for state in _STATES]
    found = f"SELECT id, state_before, state_after FROM audit_entries WHERE {' OR '.join(parts)}"  # noqa: S608
    return await sql.rows(found, *arguments)


_STATES = ("state_before", "state_after")
_PERSONAL = frozenset({"name", "email", "number", "externalId"})
"""Fields of a state by which a person or a card is known."""


def _anywhere(text: str) -> str:
    """A pattern for texts without case in which this one is; for LIKE with ESCAPE '!', as a backslash escapes in one dialect only."""
    return f"%{sql.literal(text.lower())}%"


def _quoted(text: str) -> str:
    """As it stands in JSON: what is not ASCII is itself there."""
    return json.dumps(text, ensure_ascii=False)


def _impersonal(content: str | None, pseudonym: str) -> str | None:
    """The state with the pseudonym in every personal field that says something."""
    if content is None:
        return None
    state = json.loads(content)
    shown = {key: pseudonym if key in _PERSONAL and value is not None else value for key, value in state.items()}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def _without(content: str, words: Collection[str], pseudonym: str) -> str:
    """The JSON with the pseudonym for each text in which one of the words is."""
    # A word ends where its own letters do: that of a name such as `Bo (2nd floor)` is no letter.
    pattern = re.compile("|".join(_bounded(word) for word in words) or r"(?!)", re.IGNORECASE)

    def replaced(value: Any) -> Any:
        match value:
            case dict():
                return {key: replaced(one) for key, one in value.items()}
            case list():
                return [replaced(one) for one in value]
            case str() if pattern.search(value):
                return pseudonym  # Also where it is part of it, as in the name of a card.
        return value

    return json.dumps(replaced(json.loads(content)), ensure_ascii=False, separators=(",", ":"))


def _bounded(word: str) -> str:
    before, after = (r"(?<!\w)" if word[0].isalnum() else ""), (r"(?!\w)" if word[-1].isalnum() else "")
    return f"{before}{re.escape(word)}{after}"
