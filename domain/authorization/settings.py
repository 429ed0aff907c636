"""How people identify themselves at a site, and which external system has a say: what its owner sets, and the check before it counts."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, session_events, sql
from domain.access import SITE_RULERS, Access
from domain.authorization.call_outs import AUTHORIZATION_REQUESTED, encoded, instant, read
from domain.authorization.external_system import system_of
from domain.charging.live import DEFAULT_TIMEOUT_S
from domain.checks import Problems
from domain.equipment.installations import managed
from domain.errors import (
    ConflictError,
    ErrorCode,
    NotFoundError,
    StatusError,
    UnavailableError,
    ValidationError,
    invalid,
)
from domain.events import InstallationChanged, LocalListOutdated
from domain.global_ids import global_id
from domain.ids import new_id
from domain.models import ExternalAuthentication
from domain.ports import CallOuts, EventBus, Sealer
from domain.roles import UNSET, ExternalMode, FailPolicy, Scope, Unset

SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 1.0, 15.0
OVERLAP = timedelta(hours=24)
"""How long an old secret signs along after a new one was made."""
MOST_URL_LENGTH = 2000
_SECRET_BYTES = 32
_SECRET_PREFIX = "whsec_"  # noqa: S105  how a secret begins (Standard Webhooks)


async def set_authentication(
    access: Access,
    installation_id: UUID,
    *,
    is_required: bool | Unset | None = UNSET,
    allows_concurrent: bool | Unset | None = UNSET,
    bus: EventBus,
) -> None:
    """Whether people identify themselves there, and whether one card may charge at two chargers at once. OWNER and ADMINISTRATOR."""
    given = {"isRequired": is_required, "allowsConcurrent": allows_concurrent}
    problems = Problems()
    for word, value in given.items():
        if value is None:
            problems.add(word, "This is true or false and cannot be cleared.")
    async with in_transaction():
        row = await managed(access, installation_id, SITE_RULERS)
        problems.raise_any()
        before = {"isRequired": row.authentication_required, "allowsConcurrent": row.allows_concurrent}
        if isinstance(is_required, bool):
            row.authentication_required = is_required
        if isinstance(allows_concurrent, bool):
            row.allows_concurrent = allows_concurrent
        await row.save(update_fields=["authentication_required", "allows_concurrent"])
        after = {"isRequired": row.authentication_required, "allowsConcurrent": row.allows_concurrent}
        await _audit(access, "installation.setAuthentication", installation_id, before, after)
    await _tell(installation_id, bus)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalChanges:
    """What is UNSET stays; a URL of None is taken away."""

    mode: ExternalMode | Unset | None = UNSET
    url: str | Unset | None = UNSET
    timeout_s: float | Unset | None = UNSET
    fail_policy: FailPolicy | Unset | None = UNSET
    rotates_secret: bool = False
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class Outside:
    """What these use cases need from outside."""

    call_outs: CallOuts
    sealer: Sealer
    bus: EventBus


async def configure_external(
    access: Access, installation_id: UUID, changes: ExternalChanges, *, outside: Outside
) -> str | None:
    """The new signing secret, if one was made: shown here and never again. OWNER and ADMINISTRATOR.

    ConflictError (PREFLIGHT_FAILED) for ENFORCE when the pre-flight of the address does not pass, or without an address when
    no program could answer; unless forced. ValidationError (ADDRESS_REFUSED) for a URL that is not called.
    """
    access.signed_in()
    access.manage_installation(installation_id, SITE_RULERS, path=("installationId",))
    await _check(changes, outside.call_outs)
    passed_at, tried = None, None
    if await _needs_preflight(installation_id, changes):
        passed_at, tried = await _required_pass(access, installation_id, changes, outside)
    made: str | None = None
    async with in_transaction():
        await managed(access, installation_id, SITE_RULERS)
        known = await ExternalAuthentication.get_or_none(installation_id=installation_id)
        row = known or ExternalAuthentication(installation_id=installation_id)
        before = None if known is None else _state(row)
        _apply(row, changes)
        if passed_at is not None:
            if row.url != tried:
                raise ConflictError("The address was changed meanwhile: try again.", path=("mode",))
            row.passed_at = passed_at
        if row.url is not None and (row.secret is None or changes.rotates_secret):
            made = _new_secret()
            if row.secret is not None:
                row.previous_secret, row.previous_secret_until = row.secret, access.now + OVERLAP
            row.secret = outside.sealer.seal(made)
        await _stored(row, is_new=known is None)
        if row.url is None or row.mode is ExternalMode.OFF:
            # Whoever is set later hears of what happens from then on.
            await session_events.give_up_all(installation_id, error=session_events.NOT_TOLD, now=access.now)
        after = {**_state(row), "isSecretMade": made is not None, "isForced": changes.is_forced}
        await _audit(access, "externalAuthentication.configure", installation_id, before, after)
    await _tell(installation_id, outside.bus)
    return made


async def _check(changes: ExternalChanges, call_outs: CallOuts) -> None:
    problems = Problems()
    for word, value in (
        ("mode", changes.mode),
        ("timeoutSeconds", changes.timeout_s),
        ("failPolicy", changes.fail_policy),
    ):
        if value is None:
            problems.add(word, "This cannot be cleared.")
    timeout_s = changes.timeout_s
    if isinstance(timeout_s, int | float) and not SHORTEST_TIMEOUT_S <= timeout_s <= LONGEST_TIMEOUT_S:
        problems.add("timeoutSeconds", f"This is from {SHORTEST_TIMEOUT_S:g} to {LONGEST_TIMEOUT_S:g} seconds.")
    if isinstance(changes.url, str) and len(changes.url) > MOST_URL_LENGTH:
        problems.add("url", f"An address has at most {MOST_URL_LENGTH} characters.")
    problems.raise_any()
    if isinstance(changes.url, str):
        await call_outs.check(changes.url)


async def _needs_preflight(installation_id: UUID, changes: ExternalChanges) -> bool:
    """Whether the system decides from now on, or does so at an address that it was not tried at."""
    row = await ExternalAuthentication.get_or_none(installation_id=installation_id)
    mode = changes.mode if isinstance(changes.mode, ExternalMode) else row.mode if row else ExternalMode.OFF
    if mode is not ExternalMode.ENFORCE or changes.is_forced:
        return False
    url = changes.url if not isinstance(changes.url, Unset) else row.url if row else None
    is_as_before = row is not None and row.mode is ExternalMode.ENFORCE and row.url == url
    return not is_as_before


async def _required_pass(
    access: Access, installation_id: UUID, changes: ExternalChanges, outside: Outside
) -> tuple[datetime | None, str | None]:
    """(when the address passed, if there is one; the address)."""
    url = changes.url if isinstance(changes.url, str) else None
    system = await system_of(installation_id, sealer=outside.sealer, now=access.now)
    if isinstance(changes.url, Unset):
        url = system.url
    if url is not None and not system.secrets:
        raise ConflictError(
            "Its secret is made when the address is set: set the address first, give the system its secret, then ENFORCE.",
            code=ErrorCode.PREFLIGHT_FAILED,
            path=("mode",),
        )
    checks = await _checks(access, installation_id, url, outside)
    failed = [check for check in checks if not check.is_passed]
    if failed:
        raise ConflictError(
            f"The pre-flight check failed ({failed[0].name}: {failed[0].detail}) Mend it, or force it.",
            code=ErrorCode.PREFLIGHT_FAILED,
            path=("mode",),
        )
    return None if url is None else access.now, url


async def _stored(row: ExternalAuthentication, *, is_new: bool) -> None:
    if is_new:
        await row.save(force_create=True)
        return
    # Its key is a relation's, which Tortoise's own update hands to SQLite as an object.
    values = {name: getattr(row, name) for name in _FIELDS}
    await ExternalAuthentication.filter(installation_id=row.installation_id).update(**values)


_FIELDS = (
    "mode",
    "url",
    "timeout_s",
    "fail_policy",
    "secret",
    "previous_secret",
    "previous_secret_until",
    "passed_at",
    "gone_at",
    "paused_until",
)


def _apply(row: ExternalAuthentication, changes: ExternalChanges) -> None:
    row.gone_at = row.paused_until = None
    if isinstance(changes.mode, ExternalMode):
        row.mode = changes.mode
    if not isinstance(changes.url, Unset):
        if row.url != changes.url:
            row.passed_at = None
        row.url = changes.url
    if isinstance(changes.timeout_s, int | float):
        row.timeout_s = float(changes.timeout_s)
    if isinstance(changes.fail_policy, FailPolicy):
        row.fail_policy = changes.fail_policy


def _new_secret() -> str:
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _state(row: ExternalAuthentication) -> audit.State:
    """As the audit log keeps it: an address without what may be a key in it."""
    return {
        "mode": row.mode,
        "url": None if row.url is None else urlunsplit((*urlsplit(row.url)[:3], "", "")),
        "timeoutSeconds": row.timeout_s,
        "failPolicy": row.fail_policy,
    }


async def _audit(
    access: Access, action: str, installation_id: UUID, before: audit.State | None, after: audit.State
) -> None:
    await audit.record(
        access, action, "Installation", installation_id, installation_id=installation_id, before=before, after=after
    )


async def _tell(installation_id: UUID, bus: EventBus) -> None:
    await bus.publish(
        InstallationChanged(installation_id=installation_id), LocalListOutdated(installation_id=installation_id)
    )


@dataclass(frozen=True, slots=True)
class Check:
    """One part of a pre-flight check."""

    name: str
    is_passed: bool
    detail: str
    seconds: float | None = None


async def preflight(access: Access, installation_id: UUID, *, url: str | None = None, outside: Outside) -> list[Check]:
    """What a pre-flight check of the site's system finds, at its address or at `url`. OWNER and ADMINISTRATOR. Nobody charges by it."""
    access.signed_in()
    access.manage_installation(installation_id, SITE_RULERS, path=("installationId",))
    if await sql.row("SELECT 1 AS found FROM installations WHERE id = $1", installation_id) is None:
        raise NotFoundError(path=("installationId",))
    system = await system_of(installation_id, sealer=outside.sealer, now=access.now)
    wanted = url if url is not None else system.url
    if wanted is not None and len(wanted) > MOST_URL_LENGTH:
        raise invalid("url", f"An address has at most {MOST_URL_LENGTH} characters.")
    checks = await _checks(access, installation_id, wanted, outside)
    is_passed = all(check.is_passed for check in checks)
    async with in_transaction():
        if wanted is not None and wanted == system.url:
            await ExternalAuthentication.filter(installation_id=installation_id).update(
                passed_at=access.now if is_passed else None
            )
        after = {"isPassed": is_passed, "failed": [check.name for check in checks if not check.is_passed]}
        await _audit(access, "externalAuthentication.test", installation_id, None, after)
    return checks


async def _checks(access: Access, installation_id: UUID, url: str | None, outside: Outside) -> list[Check]:
    if url is None:
        return [await _subscriber(installation_id, access.now)]
    try:
        await outside.call_outs.check(url)
    except ValidationError as error:
        return [Check("address", False, error.message)]
    system = await system_of(installation_id, sealer=outside.sealer, now=access.now)
    checks = [Check("address", True, "It may be called.")]
    keys = system.secrets or (_new_secret(),)
    checks.append(await _answer(installation_id, url, keys, system.timeout_s, access.now, outside))
    if checks[-1].is_passed:
        checks.append(await _signature(installation_id, url, system.timeout_s, access.now, outside))
    return checks


async def _answer(
    installation_id: UUID, url: str, keys: tuple[str, ...], timeout_s: float, now: datetime, outside: Outside
) -> Check:
    began = perf_counter()
    try:
        body = await outside.call_outs.post(
            url,
            event_id=str(new_id()),
            content=_trial(installation_id, now, timeout_s),
            secrets=keys,
            timeout_s=timeout_s,
        )
        decision = read(body).decision
    except UnavailableError as error:
        return Check("answer", False, error.message, perf_counter() - began)
    return Check("answer", True, f"It answered {decision} for a card of nobody.", perf_counter() - began)


async def _signature(installation_id: UUID, url: str, timeout_s: float, now: datetime, outside: Outside) -> Check:
    """Whoever believes a wrong signature believes everybody."""
    began = perf_counter()
    try:
        await outside.call_outs.post(
            url,
            event_id=str(new_id()),
            content=_trial(installation_id, now, timeout_s),
            secrets=(_new_secret(),),
            timeout_s=timeout_s,
        )
    except StatusError as refusal:
        if refusal.is_refusal:
            return Check("signature", True, "It refuses what is signed wrongly.", perf_counter() - began)
        return Check("signature", False, refusal.message, perf_counter() - began)
    except UnavailableError as error:
        # Away is not the same as careful.
        return Check("signature", False, error.message, perf_counter() - began)
    return Check("signature", False, "It answered a request that was signed wrongly.", perf_counter() - began)


def _trial(installation_id: UUID, now: datetime, timeout_s: float) -> bytes:
    """A question about a card of nobody; `isTest` says so."""
    data = {
        "requestId": global_id("AuthorizationRequest", new_id()),
        "installationId": global_id("Installation", installation_id),
        "chargerId": global_id("Charger", new_id()),
        "chargerName": "Pre-flight check",
        "credentialType": "UNKNOWN",
        "credential": "00000000TEST",
        "externalUserId": None,
        "requestedAt": instant(now),
        "expiresAt": instant(now + timedelta(seconds=timeout_s or DEFAULT_TIMEOUT_S)),
        "isTest": True,
    }
    return encoded(AUTHORIZATION_REQUESTED, data, now=now)


async def _subscriber(installation_id: UUID, now: datetime) -> Check:
    rows = await sql.rows(
        "SELECT a.scopes, t.scopes AS token_scopes FROM service_account_installations p"
        " JOIN service_accounts a ON a.id = p.account_id JOIN api_tokens t ON t.account_id = a.id"
        " WHERE p.installation_id = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)",
        installation_id,
        now,
    )
    wanted = Scope.AUTHORIZE_CHARGING
    can = any(
        wanted in row["scopes"].split(",") and wanted in (row["token_scopes"] or row["scopes"]).split(",")
        for row in rows
    )
    if can:
        return Check("subscriber", True, "A program has a token with AUTHORIZE_CHARGING.")
    return Check("subscriber", False, "No address is set, and no program here has a token with AUTHORIZE_CHARGING.")


@dataclass(frozen=True, slots=True)
class Shadow:
    """How a system's answers of the last 30 days compare with our own decisions."""

    asked: int = 0
    agreed: int = 0
    would_have_refused: int = 0
    would_have_accepted: int = 0
    unanswered: int = 0


async def shadow_report(installation_id: UUID, *, now: datetime) -> Shadow:
    """Of that installation; what only a fail policy said counts as unanswered."""
    row = await sql.row(_SHADOW, installation_id, now - timedelta(days=30))
    return (
        Shadow() if row is None or not row["asked"] else Shadow(**{key: int(value or 0) for key, value in row.items()})
    )


_ANSWERED = "r.decision IS NOT NULL AND r.decided_by <> 'FAIL_POLICY'"
_SHADOW = f"""
SELECT COUNT(*) AS asked,
  SUM(CASE WHEN {_ANSWERED} AND (r.decision = 'ACCEPTED') = (r.native_decision = 'ACCEPTED') THEN 1 ELSE 0 END) AS agreed,
  SUM(CASE WHEN {_ANSWERED} AND r.decision <> 'ACCEPTED' AND r.native_decision = 'ACCEPTED' THEN 1 ELSE 0 END) AS would_have_refused,
  SUM(CASE WHEN {_ANSWERED} AND r.decision = 'ACCEPTED' AND r.native_decision <> 'ACCEPTED' THEN 1 ELSE 0 END) AS would_have_accepted,
  SUM(CASE WHEN {_ANSWERED} THEN 0 ELSE 1 END) AS unanswered
FROM authorization_requests r WHERE r.installation_id = $1 AND r.is_shadow AND r.requested_at > $2
"""  # noqa: S608  parts of ours
