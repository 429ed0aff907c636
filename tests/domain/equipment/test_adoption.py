"""Chargers that knock are found and adopted by those who install, and by nobody who only guesses."""

from typing import Any

import pytest

from domain.access import Access
from domain.equipment.adoption import OfferedPassword, adopt_charger, find_unknown_charger
from domain.equipment.chargers import NewCharger, NewPassword, add_charger, remove_charger
from domain.equipment.stations import hash_charger_key, hash_offered_key
from domain.errors import DomainError, ErrorCode, NotAllowedError, NotFoundError, ValidationError
from domain.events import InstallationChanged, LocalListOutdated
from domain.lifecycle import credentials_of
from domain.models import AuditEntry, Charger, Station, UnknownCharger
from domain.pages import PageRequest
from domain.roles import Role
from domain.views.unknown_charger_views import unknown_chargers_page
from tests.factories import NOW, PEOPLE, Town, a_charger, a_grant, a_person, a_program, a_town, access
from tests.fakes import RecordingBus, UnlimitedAttempts

pytestmark = pytest.mark.usefixtures("database")

SECRET = "the portal's secret"
PASSWORD = "set by the installer"
INSTALLERS = frozenset({"SERVICE", "ADMINISTRATOR"})
NEW, TYPED = OfferedPassword(is_kept=False), OfferedPassword(typed=PASSWORD)


async def a_knocker(identity: str = "GARAGE-07", *, key: bytes | None = PASSWORD.encode(), **given: Any) -> None:
    """A charger that knocked and offered that password."""
    await UnknownCharger.create(
        identity=identity,
        first_seen_at=NOW,
        last_seen_at=NOW,
        attempts=2,
        address="192.0.2.7",
        vendor="Acme",
        password_hash=None if key is None else hash_offered_key(key, SECRET),
        **given,
    )


async def _adopt(
    viewer: Access,
    town: Town,
    offered: OfferedPassword = TYPED,
    *,
    identity: str = "GARAGE-07",
    attempts: UnlimitedAttempts | None = None,
    bus: RecordingBus | None = None,
    **new: Any,
) -> NewPassword:
    return await adopt_charger(
        viewer,
        town.site.root_id,
        NewCharger(name="Space 3", identity=identity, **new),
        offered,
        attempts=attempts or UnlimitedAttempts(),
        secret=SECRET,
        bus=bus or RecordingBus(),
    )


async def _lets_in(identity: str, password: str | bytes) -> bool:
    stored = (await credentials_of([identity])).get(identity)
    assert stored is not None
    return stored.accepts(password if isinstance(password, bytes) else password.encode(), SECRET) is not None


async def test_an_adopted_charger_keeps_the_password_that_its_installer_set() -> None:
    """Whoever typed it in both places proves that the charger is theirs; none is handed out, none is in the log, and nobody waits."""
    town, bus = await a_town(), RecordingBus()
    await a_knocker()
    made = await _adopt(await town.access("SERVICE"), town, bus=bus)
    assert made.password is None
    assert await _lets_in("GARAGE-07", PASSWORD)
    charger = await Charger.get(id=made.charger_id)
    assert (charger.name, charger.installation_id, charger.circuit_id) == ("Space 3", town.site.id, town.site.root_id)
    assert await UnknownCharger.all().count() == 0
    assert charger.station_id is not None
    follows = LocalListOutdated(installation_id=town.site.id, station_id=charger.station_id)
    assert bus.published == [InstallationChanged(installation_id=town.site.id), follows]
    entry = await AuditEntry.get()
    assert (entry.action, entry.object_id, entry.installation_id) == ("charger.adopt", charger.id, town.site.id)
    station = await Station.get(identity="GARAGE-07")
    assert station.password_hash not in (entry.state_after or "")


async def test_a_guessed_identity_gives_nobody_anothers_charger() -> None:
    """An installer who does not know the password keeps none of it: they are told so, and nothing has changed."""
    town = await a_town()
    await a_knocker()
    for typed, code in ((None, ErrorCode.INVALID), ("another password", ErrorCode.WRONG_CREDENTIALS)):
        with pytest.raises(ValidationError) as caught:
            await _adopt(await town.access("SERVICE"), town, OfferedPassword(typed=typed))
        assert (caught.value.path, caught.value.code) == (("password",), code)
    assert await UnknownCharger.all().count() == 1
    assert await Station.filter(identity="GARAGE-07").count() == 0


async def test_an_administrator_keeps_a_password_that_nobody_knows() -> None:
    """Such as one that the maker set; typed in wrongly it is refused for them, too."""
    town = await a_town()
    await a_knocker(key=bytes(range(16)))
    administrator = await town.access("ADMINISTRATOR")
    with pytest.raises(ValidationError):
        await _adopt(administrator, town, OfferedPassword(typed="another password"))
    assert (await _adopt(administrator, town, OfferedPassword())).password is None
    assert await _lets_in("GARAGE-07", bytes(range(16)))


async def test_a_key_of_bytes_is_typed_in_hexadecimal() -> None:
    """In either case, as makers print it."""
    town, key = await a_town(), bytes(range(0xF0, 0x100))
    await a_knocker(key=key)
    assert (await _adopt(await town.access("SERVICE"), town, OfferedPassword(typed=key.hex().upper()))).password is None
    assert await _lets_in("GARAGE-07", key)


@pytest.mark.parametrize("how", ["not wanted", "none offered", "too short", "several offered"])
async def test_a_charger_without_a_password_of_its_own_is_given_one(how: str) -> None:
    """Where the one that it offered is not to be kept, or cannot be, a new one is shown as when a charger is added."""
    town = await a_town()
    key = {"none offered": None, "too short": b"admin"}.get(how, PASSWORD.encode())
    await a_knocker(key=key, is_contested=how == "several offered")
    viewer = await town.access("SERVICE")
    row = await find_unknown_charger(viewer, "GARAGE-07", attempts=UnlimitedAttempts())
    assert row is not None
    assert row.has_password is (how == "not wanted")
    made = await _adopt(viewer, town, NEW if how == "not wanted" else OfferedPassword())
    assert made.password is not None
    assert await _lets_in("GARAGE-07", made.password)
    assert not await _lets_in("GARAGE-07", PASSWORD)


@pytest.mark.parametrize("person", PEOPLE)
async def test_chargers_are_adopted_by_installers(person: str) -> None:
    """Nobody else learns even whether such a charger knocks."""
    town = await a_town()
    await a_knocker()
    viewer = await town.access(person)
    if person in INSTALLERS:
        assert (await _adopt(viewer, town)).password is None
        return
    errors: list[DomainError] = []
    for identity in ("GARAGE-07", "NOBODY"):
        with pytest.raises((NotFoundError, NotAllowedError)) as caught:
            await _adopt(viewer, town, identity=identity)
        errors.append(caught.value)
        assert await find_unknown_charger(viewer, identity, attempts=UnlimitedAttempts()) is None
    assert len({(type(error), error.path, error.message) for error in errors}) == 1
    assert await Station.filter(identity="GARAGE-07").count() == 0


async def test_an_installer_elsewhere_finds_a_charger_by_its_whole_identity_only() -> None:
    """Not by a part of it nor in another case, not in the list, and never where it is."""
    town = await a_town()
    await a_knocker()
    person = await a_person("Installer elsewhere")
    await a_grant(Role.SERVICE, town.other_site, user_id=person)
    viewer = await access(person)
    for identity in ("GARAGE-0", "garage-07", "GARAGE-07 ", "%", ""):
        assert await find_unknown_charger(viewer, identity, attempts=UnlimitedAttempts()) is None
    row = await find_unknown_charger(viewer, "GARAGE-07", attempts=UnlimitedAttempts())
    assert row is not None
    assert (row.identity, row.vendor, row.attempts, row.address) == ("GARAGE-07", "Acme", 2, None)
    page = await unknown_chargers_page(viewer, PageRequest(first=10))
    assert (list(page.rows), page.count is not None and await page.count()) == ([], 0)


async def test_an_administrator_sees_all_who_knock() -> None:
    """With where they knock from, page by page; one that was added meanwhile is not among them."""
    town = await a_town()
    for identity in ("A", "B", "C"):
        await a_knocker(identity)
    await a_charger(town.site, "Space 3", identity="B")
    viewer = await town.access("ADMINISTRATOR")
    page = await unknown_chargers_page(viewer, PageRequest(first=1))
    assert page.count is not None
    assert (await page.count(), page.has_next) == (2, True)
    rest = await unknown_chargers_page(viewer, PageRequest(first=10, after=page.cursors[0]))
    assert {row.identity for row in (*page.rows, *rest.rows)} == {"A", "C"}
    assert {row.address for row in rest.rows} == {"192.0.2.7"}


async def test_programs_see_and_adopt_nobody() -> None:
    """Whatever scopes they hold."""
    town = await a_town()
    await a_knocker()
    program = await (await a_program(town.site)).access()
    assert await find_unknown_charger(program, "GARAGE-07", attempts=UnlimitedAttempts()) is None
    with pytest.raises(NotAllowedError):
        await _adopt(program, town)


async def test_only_wrong_guesses_are_counted() -> None:
    """By person: identities by which nobody knocks, and wrong passwords. Other trouble, and what is right, is free."""
    town, attempts = await a_town(), UnlimitedAttempts()
    await a_knocker()
    viewer = await town.access("SERVICE")
    await find_unknown_charger(viewer, "GARAGE-07", attempts=attempts)
    await find_unknown_charger(viewer, "GARAGE-08", attempts=attempts)
    for given, error in (
        ({"identity": "GARAGE-08"}, NotFoundError),
        ({"offered": OfferedPassword(typed="another password")}, ValidationError),
        ({"evse": 0}, ValidationError),
    ):
        with pytest.raises(error):
            await _adopt(viewer, town, attempts=attempts, **given)
    await _adopt(viewer, town, attempts=attempts)
    assert attempts.right == [True, False, False, False, True, True]
    assert attempts.asked == [(f"identities named by {town.people['SERVICE']}", None)] * 6
    await find_unknown_charger(await town.access("ADMINISTRATOR"), "GARAGE-09", attempts=attempts)
    assert len(attempts.asked) == 6


async def test_whoever_is_added_waits_no_more() -> None:
    """By hand as well; the identity of a removed charger can be adopted again, with its new password only."""
    town = await a_town()
    viewer = await town.access("SERVICE")
    await a_knocker()
    added = await add_charger(
        viewer, town.site.root_id, name="Space 3", identity="GARAGE-07", secret=SECRET, bus=RecordingBus()
    )
    assert await UnknownCharger.all().count() == 0
    await remove_charger(viewer, added.charger_id, bus=RecordingBus())
    await a_knocker()
    await _adopt(viewer, town)
    assert added.password is not None
    assert not await _lets_in("GARAGE-07", added.password)
    assert await _lets_in("GARAGE-07", PASSWORD)
    assert (await Station.get(identity="GARAGE-07")).password_hash == hash_charger_key(PASSWORD, SECRET)


async def test_a_charger_that_was_added_meanwhile_is_not_adopted() -> None:
    """Its row is left over from a knock that was written late: it leads nowhere."""
    town = await a_town()
    await a_charger(town.other_site, identity="GARAGE-07")
    await a_knocker()
    with pytest.raises(NotFoundError):
        await _adopt(await town.access("SERVICE"), town)
