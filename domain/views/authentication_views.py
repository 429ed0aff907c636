"""What is set about identifying oneself at a site, for who rules it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import session_events, sql
from domain.authorization.settings import Shadow, shadow_report
from domain.charging.live import DEFAULT_TIMEOUT_S
from domain.roles import AuthenticationMode, ExternalMode, FailPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRow:
    """An external system. `installation_id` leads to its figures, which are counted when they are asked for."""

    installation_id: UUID
    mode: ExternalMode
    url: str | None
    timeout_seconds: float
    fail_policy: FailPolicy
    gone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRow:
    """The settings of a site. `external` None: nothing was ever set."""

    is_required: bool
    mode: AuthenticationMode
    allows_concurrent: bool
    external: ExternalRow | None


async def authentication_of(installation_id: UUID) -> AuthenticationRow | None:
    """The settings of that site, whoever asks; None when there is none."""
    row = await sql.row(
        "SELECT i.authentication_required, i.allows_concurrent, x.installation_id AS external_at, x.mode, x.url, x.timeout_s,"
        " x.fail_policy, x.gone_at FROM installations i"
        " LEFT JOIN external_authentications x ON x.installation_id = i.id WHERE i.id = $1",
        installation_id,
    )
    if row is None:
        return None
    external = None
    if row["external_at"] is not None:
        external = ExternalRow(
            installation_id=installation_id,
            mode=ExternalMode(row["mode"]),
            url=row["url"],
            timeout_seconds=float(row["timeout_s"] or DEFAULT_TIMEOUT_S),
            fail_policy=FailPolicy(row["fail_policy"]),
            gone_at=sql.optional_instant_of(row["gone_at"]),
        )
    is_enforced = external is not None and external.mode is ExternalMode.ENFORCE
    return AuthenticationRow(
        is_required=bool(row["authentication_required"]),
        mode=AuthenticationMode.EXTERNAL if is_enforced else AuthenticationMode.NATIVE,
        allows_concurrent=bool(row["allows_concurrent"]),
        external=external,
    )


async def shadow_of(row: ExternalRow, *, now: datetime) -> Shadow:
    """How the system's answers compare with our own decisions."""
    return await shadow_report(row.installation_id, now=now)


async def pending_of(row: ExternalRow) -> session_events.Pending:
    """Events of charges that the system has not taken yet."""
    return await session_events.pending(row.installation_id)


async def given_up_of(row: ExternalRow) -> session_events.GivenUp:
    """Events of charges that the system never took."""
    return await session_events.given_up(row.installation_id)
