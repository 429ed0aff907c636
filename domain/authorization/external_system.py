"""A site's external authentication system: where it is, how long it is waited for, and by which secrets it knows us."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.charging.live import DEFAULT_TIMEOUT_S
from domain.ports import Sealer
from domain.roles import ExternalMode, FailPolicy


@dataclass(frozen=True, slots=True)
class ExternalSystem:
    """What is set for one installation. `url` None: it answers by subscription only."""

    installation_id: UUID
    mode: ExternalMode = ExternalMode.OFF
    url: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    fail_policy: FailPolicy = FailPolicy.DENY
    secrets: tuple[str, ...] = ()
    """The present one first, then the one before while its time is not over."""
    is_gone: bool = False
    """The address said so to an event: it gets no more of them."""


async def system_of(installation_id: UUID, *, sealer: Sealer, now: datetime) -> ExternalSystem:
    """What is set; nothing is, unless somebody did. UnavailableError when a secret cannot be read."""
    row = await sql.row("SELECT * FROM external_authentications WHERE installation_id = $1", installation_id)
    if row is None:
        return ExternalSystem(installation_id)
    previous_until = sql.optional_instant_of(row["previous_secret_until"])
    sealed = [row["secret"]]
    if previous_until is not None and now < previous_until:
        sealed.append(row["previous_secret"])
    return ExternalSystem(
        installation_id=installation_id,
        mode=ExternalMode(row["mode"]),
        url=row["url"],
        timeout_s=float(row["timeout_s"]),
        fail_policy=FailPolicy(row["fail_policy"]),
        secrets=tuple(sealer.open(one) for one in sealed if one is not None),
        is_gone=row["gone_at"] is not None,
    )
