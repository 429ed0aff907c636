"""What an owner sets about who decides: secrets that are shown once, and no system in charge that was not tried."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from domain.access import Access
from domain.authorization.external_system import system_of
from domain.authorization.settings import ExternalChanges, Outside, configure_external, preflight
from domain.errors import (
    ConflictError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    StatusError,
    UnavailableError,
    ValidationError,
    invalid,
)
from domain.events import LocalListOutdated
from domain.models import AuditEntry, ExternalAuthentication
from domain.roles import ExternalMode, FailPolicy, Scope
from tests.factories import NOW, Town, a_program, a_town
from tests.fakes import OpenSeals, RecordingBus

pytestmark = pytest.mark.usefixtures("database")

URL = "https://booking.example/lade"


@dataclass
class System:
    """CallOuts to one system, which believes the secrets that it was told, or everybody."""

    secrets: list[str] = field(default_factory=list)
    believes_all: bool = False
    refusal: UnavailableError = field(default_factory=lambda: StatusError(401))
    says: bytes = b'{"decision": "INVALID"}'
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        self.asked.append(json.loads(content))
        if not self.believes_all and not set(secrets) & set(self.secrets):
            raise self.refusal
        return self.says

    async def check(self, url: str) -> None:
        if "10." in url:
            raise invalid("url", "This address leads into a private network.", ErrorCode.ADDRESS_REFUSED)


@dataclass
class Site:
    """A town's site, its owner, and the system that it has set."""

    town: Town
    owner: Access
    system: System = field(default_factory=System)
    bus: RecordingBus = field(default_factory=RecordingBus)

    async def configure(self, *, by: Access | None = None, **changes: Any) -> str | None:
        outside = Outside(self.system, OpenSeals(), self.bus)
        return await configure_external(
            by or self.owner, self.town.site.id, ExternalChanges(**changes), outside=outside
        )

    async def tried(self, url: str | None = None) -> dict[str, bool]:
        outside = Outside(self.system, OpenSeals(), self.bus)
        checks = await preflight(self.owner, self.town.site.id, url=url, outside=outside)
        return {check.name: check.is_passed for check in checks}

    async def row(self) -> ExternalAuthentication:
        return await ExternalAuthentication.get(installation_id=self.town.site.id)


@pytest.fixture
async def site(database: object) -> Site:
    town = await a_town()
    return Site(town, await town.access("OWNER of installation"))


async def test_a_secret_is_made_with_the_address_and_shown_once(site: Site) -> None:
    """It is kept sealed, and in no log; an address of another query is the same in the log."""
    secret = await site.configure(url=f"{URL}?key=hidden")
    assert secret is not None
    assert secret.startswith("whsec_")
    assert (await site.row()).secret == f"sealed:{secret}"
    assert await site.configure(fail_policy=FailPolicy.ALLOW_KNOWN) is None
    assert await site.configure(url=f"{URL}?key=other") is None
    told = " ".join(f"{one.state_before} {one.state_after}" for one in await AuditEntry.all())
    assert secret not in told
    assert "hidden" not in told
    assert LocalListOutdated(installation_id=site.town.site.id) in site.bus.published


async def test_an_old_secret_signs_along_for_a_day(site: Site) -> None:
    """Then it is over; rotating again forgets it at once."""
    first = await site.configure(url=URL)
    second = await site.configure(rotates_secret=True)
    assert second != first
    site_id = site.town.site.id
    assert (await system_of(site_id, sealer=OpenSeals(), now=NOW)).secrets == (second, first)
    day = NOW + timedelta(hours=24)
    assert (await system_of(site_id, sealer=OpenSeals(), now=day)).secrets == (second,)
    third = await site.configure(rotates_secret=True)
    assert (await system_of(site_id, sealer=OpenSeals(), now=NOW)).secrets == (third, second)


async def test_a_system_decides_once_it_was_tried(site: Site) -> None:
    """It must answer, and refuse what is signed wrongly; a new address is tried anew. Nothing of a failed try is kept."""
    secret = await site.configure(url=URL)
    with pytest.raises(ConflictError) as refused:
        await site.configure(mode=ExternalMode.ENFORCE)
    assert refused.value.code is ErrorCode.PREFLIGHT_FAILED
    assert (await site.row()).mode is ExternalMode.OFF
    site.system.believes_all = True
    assert await site.tried() == {"address": True, "answer": True, "signature": False}
    with pytest.raises(ConflictError):
        await site.configure(mode=ExternalMode.ENFORCE)
    site.system.believes_all, site.system.secrets = False, [str(secret)]
    assert await site.tried() == {"address": True, "answer": True, "signature": True}
    await site.configure(mode=ExternalMode.ENFORCE)
    row = await site.row()
    assert (row.mode, row.passed_at) == (ExternalMode.ENFORCE, NOW)
    site.system.says = b"<html>"
    await site.configure(timeout_s=10.0)
    with pytest.raises(ConflictError):
        await site.configure(url="https://other.example/lade")
    assert (await site.row()).url == URL


@pytest.mark.parametrize("refusal", [StatusError(500), StatusError(302), UnavailableError("No answer within 5 s.")])
async def test_a_system_that_fails_has_not_refused(site: Site, refusal: UnavailableError) -> None:
    """Away is not the same as careful: what is signed wrongly must be refused by a 4xx."""
    site.system.secrets, site.system.refusal = [str(await site.configure(url=URL))], refusal
    assert await site.tried() == {"address": True, "answer": True, "signature": False}


async def test_a_try_is_no_attempt_to_charge(site: Site) -> None:
    """The question says that it is one, about a card of nobody."""
    await site.configure(url=URL)
    await site.tried()
    assert {one["data"]["isTest"] for one in site.system.asked} == {True}
    assert {one["type"] for one in site.system.asked} == {"authorization.requested"}


async def test_who_insists_may(site: Site) -> None:
    """With `force`, which the log says."""
    await site.configure(url=URL)
    await site.configure(mode=ExternalMode.ENFORCE, is_forced=True)
    assert (await site.row()).mode is ExternalMode.ENFORCE
    newest = await AuditEntry.all().order_by("-at", "-id").first()
    assert newest is not None
    assert json.loads(newest.state_after or "{}")["isForced"] is True


async def test_without_an_address_a_program_must_be_able_to_answer(site: Site) -> None:
    """One with the scope, at this site."""
    with pytest.raises(ConflictError):
        await site.configure(mode=ExternalMode.ENFORCE)
    await a_program(site.town.other_site, scopes=[Scope.AUTHORIZE_CHARGING])
    with pytest.raises(ConflictError):
        await site.configure(mode=ExternalMode.ENFORCE)
    await a_program(site.town.site, scopes=[Scope.AUTHORIZE_CHARGING])
    await site.configure(mode=ExternalMode.ENFORCE)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://x.example/" + "y" * 2000}, "url"),
        ({"timeout_s": 0.5}, "timeoutSeconds"),
        ({"timeout_s": 15.5}, "timeoutSeconds"),
        ({"timeout_s": float("nan")}, "timeoutSeconds"),
        ({"timeout_s": None}, "timeoutSeconds"),
        ({"mode": None}, "mode"),
        ({"fail_policy": None}, "failPolicy"),
    ],
)
async def test_what_cannot_be_set(site: Site, changes: dict[str, Any], path: str) -> None:
    """In the field's words, and nothing is changed."""
    with pytest.raises(ValidationError) as refused:
        await site.configure(**changes)
    assert refused.value.path == (path,)
    assert not await ExternalAuthentication.all().exists()


async def test_who_may_set_it(site: Site) -> None:
    """Who rules the site; programs never."""
    for who in ("SERVICE", "USER of installation", "OWNER of charger"):
        with pytest.raises(NotAllowedError):
            await site.configure(by=await site.town.access(who), url=URL)
    program = await a_program(site.town.site)
    with pytest.raises(NotAllowedError):
        await site.configure(by=await program.access(), url=URL)
    with pytest.raises(NotFoundError):
        await site.configure(by=await site.town.access("stranger"), url=URL)
    await site.configure(by=await site.town.access("ADMINISTRATOR"), url=URL)
