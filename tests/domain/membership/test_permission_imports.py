"""Permissions from a table: every line by the rules of a single grant, all or none, and the same table again changes nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.database import Database
from domain.access import Access
from domain.csv_imports import ImportOutcome
from domain.errors import NotAllowedError, NotFoundError, ValidationError
from domain.events import LocalListOutdated, PermissionChanged
from domain.ids import new_id
from domain.membership.permission_imports import import_permissions
from domain.membership.permissions import Grant, SubjectKey, grant_permission, revoke_permission
from domain.models import AuditEntry, Charger, Permission, User
from domain.roles import ImportAction, Role, Scope
from tests.factories import (
    LONG_AGO,
    NOW,
    PEOPLE,
    Town,
    a_charger,
    a_grant,
    a_group,
    a_person,
    a_program,
    a_town,
    access,
)
from tests.fakes import RecordingBus

ADD, CHANGE, KEEP, REMOVE, REJECT = (
    ImportAction.ADD,
    ImportAction.CHANGE,
    ImportAction.KEEP,
    ImportAction.REMOVE,
    ImportAction.REJECT,
)


@pytest.fixture
async def town(database: Database) -> Town:
    """One person for each role."""
    return await a_town()


async def _import(
    viewer: Access, site: UUID, *lines: str, dry: bool = False, bus: RecordingBus | None = None
) -> ImportOutcome:
    def charger_of(text: str) -> UUID | None:
        return UUID(text.removeprefix("id:")) if text.startswith("id:") else None

    return await import_permissions(
        viewer, site, table="\n".join(lines), is_dry_run=dry, charger_of=charger_of, bus=bus or RecordingBus()
    )


def _actions(outcome: ImportOutcome) -> list[ImportAction]:
    return [line.action for line in outcome.lines]


def _texts(outcome: ImportOutcome) -> list[str]:
    return [line.text for line in outcome.lines]


async def _granted() -> list[tuple[str | None, Role, UUID | None]]:
    return [(row.email, row.role, row.charger_id) for row in await Permission.exclude(email=None).order_by("email")]


TABLE = (
    "email;charger;role;validFrom;validTo;externalId",
    "Kari@example.com;Space 1;USER;2026-03-01;2026-12-31;flat 1",
    "ola@example.com;;owner;;;",
    "per@example.com;SPACE 2;Owner;2026-03-05T10:00+01:00;;",
)


async def test_a_table_is_tried_done_and_done_again(town: Town) -> None:
    """A dry run says what would be and changes nothing; the same table again finds everything as it is."""
    owner, bus = await town.access("OWNER of installation"), RecordingBus()
    entries = await AuditEntry.all().count()
    tried = await _import(owner, town.site.id, *TABLE, dry=True, bus=bus)
    assert (tried.is_applied, _actions(tried)) == (False, [ADD, ADD, ADD])
    assert (await _granted(), await AuditEntry.all().count()) == ([], entries)
    done = await _import(owner, town.site.id, *TABLE, bus=bus)
    assert done.is_applied
    assert done.lines == tried.lines
    assert [line.line for line in done.lines] == [2, 3, 4]
    assert _texts(done) == [
        "USER on charger Space 1 for Kari@example.com from 2026-03-01 00:00, until 2027-01-01 00:00; an invitation is sent.",
        "OWNER on the installation for ola@example.com from 2026-03-01 13:00, without an end; an invitation is sent.",
        "OWNER on charger Space 2 for per@example.com from 2026-03-05 10:00, without an end; an invitation is sent.",
    ]
    assert await _granted() == [
        ("kari@example.com", Role.USER, town.charger_id),
        ("ola@example.com", Role.OWNER, None),
        ("per@example.com", Role.OWNER, town.neighbour_id),
    ]
    row = await Permission.get(email="kari@example.com")
    assert (row.valid_from, row.valid_to, row.external_id) == (
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 12, 31, 23, tzinfo=UTC),
        "flat 1",
    )
    assert (row.granted_by_id, row.invitation_expires_at) == (owner.user_id, NOW + timedelta(days=30))
    audited = await AuditEntry.filter(action="permission.grant", actor="OWNER of installation").count()
    assert (audited, await AuditEntry.all().count()) == (3, entries + 3)
    again = await _import(await town.access("OWNER of installation"), town.site.id, *TABLE, bus=bus)
    assert (again.is_applied, _actions(again)) == (True, [KEEP, KEEP, KEEP])
    assert _texts(again)[1].endswith("without an end; as it is already.")
    assert await AuditEntry.all().count() == entries + 3
    assert bus.published == [], "an invitation changes nothing for anyone"


async def test_what_differs_is_changed_and_what_is_marked_is_removed(town: Town) -> None:
    """The text says what; people concerned hear of it once, and the site's lists follow once."""
    owner, bus = await town.access("OWNER of installation"), RecordingBus()
    driver, member = await User.get(id=town.people["USER of charger"]), await a_person("Member")
    group = await a_group(town.site, member, driver.id, name="Attic")
    await a_grant(Role.USER, town.site, group_id=group)
    outcome = await _import(
        owner,
        town.site.id,
        "email,group,charger,role,validTo,remove",
        f"{driver.email},,Space 1,USER,2026-03-02,",
        ",attic,,USER,,yes",
        ",ATTIC,Space 2,USER,,no",
        "nobody@example.com,,,OWNER,,x",
        bus=bus,
    )
    assert outcome.is_applied
    assert _actions(outcome) == [CHANGE, REMOVE, ADD, KEEP]
    assert _texts(outcome) == [
        f"USER on charger Space 1 for {driver.email} from 2025-03-01 13:00, until 2026-03-03 00:00; changed: validTo.",
        "USER on the installation for the group attic ends now.",
        "USER on charger Space 2 for the group ATTIC from 2026-03-01 13:00, without an end.",
        "OWNER on the installation for nobody@example.com is not there: nothing to remove.",
    ]
    told = [PermissionChanged(user_id=one, installation_id=town.site.id) for one in sorted([driver.id, member])]
    assert bus.published == [*told, LocalListOutdated(town.site.id)]
    assert set((await access(member)).chargers) == {town.neighbour_id}
    assert (await access(member)).installations == {}


REJECTED: Sequence[tuple[str, str]] = (
    ("email,role\n,USER", "Name one of email, externalUserId and group."),
    ("email,group,role\na@b.example,Attic,USER", "Name one of email, externalUserId and group."),
    ("email,role\nkari,USER", "email: This is not an e-mail address."),
    ("email,role\na@b.example,ADMINISTRATOR", "role: ADMINISTRATOR is a property of an account"),
    ("email,role\na@b.example,BOSS", "role: write USER, OWNER or SERVICE, not “BOSS”."),
    ("email\na@b.example", "role: write USER, OWNER or SERVICE, not “”."),
    ("email,role,charger\na@b.example,USER,Space 9", "charger: there is no “Space 9” here, neither by name"),
    ("email,role,charger\na@b.example,USER,Hidden", "charger: there is no “Hidden” here"),
    ("email,role,charger\na@b.example,USER,Twin", "charger: 2 chargers are called “Twin”: write the id"),
    ("group,role\nElsewhere,USER", "group: there is no “Elsewhere” here, or it is not yours to see."),
    ("externalUserId,role\n7,USER", "externalUserId: service accounts have ids of their own"),
    ("email,role,validTo\na@b.example,USER,31.12.2026", "validTo: “31.12.2026” is neither; write a date"),
    ("email,role,validTo\na@b.example,USER,2026-02-28", "validTo: This is over before it begins"),
    ("email,role,validFrom,validTo\na@b.example,USER,2026-05-01,2026-04-30", "validTo: This is over before it begins"),
    ("email,role,remove\na@b.example,USER,perhaps", "remove: write yes or no, not “perhaps”."),
    ("email,role\n=cmd(),USER", "email: “=cmd()” looks like the formula of a spreadsheet."),
    ("email,role\na\0@b.example,USER", "email: there are control characters"),
    ("email,role\nme@example.com,SERVICE", "Nobody gives SERVICE to themselves; ask another owner."),
    ("group,role\nMine,SERVICE", "Nobody gives SERVICE to themselves; ask another owner."),
    ("email,role,externalId\na@b.example,USER,taken", "Another permission that you gave has this externalId."),
    ("externalId,remove\nelsewhere,yes", "externalId: “elsewhere” is of a permission at another installation."),
    (
        "email,role," + "," * 10 + "\na@b.example,USER" + ",x" * 100_000,
        "There are more cells than headings: 100002, not 13.",
    ),
)


@pytest.mark.parametrize(("table", "words"), REJECTED, ids=[words[:40] for _, words in REJECTED])
async def test_one_line_that_cannot_be_takes_all_with_it(town: Town, table: str, words: str) -> None:
    """It says why; the good line beside it is shown as it would be, and nothing is done."""
    me = await a_person("Me", email="me@example.com")
    await a_grant(Role.OWNER, town.site, user_id=me)
    await a_grant(Role.OWNER, town.other_site, user_id=me)
    await a_group(town.site, me, name="Mine")
    await a_group(town.other_site, name="Elsewhere")
    await a_grant(Role.USER, town.site, email="x@b.example", external_id="taken", granted_by_id=me)
    await a_grant(Role.USER, town.other_site, email="x@b.example", external_id="elsewhere", granted_by_id=me)
    await a_charger(town.site, "Twin")
    await a_charger(town.site, "Twin")
    rows = await Permission.all().count()
    header, line = table.split("\n", 1)
    good = "email,role\ngood@example.com,USER"
    assert _actions(await _import(await access(me), town.site.id, good, dry=True)) == [ADD]
    outcome = await _import(await access(me), town.site.id, header, line, line)
    assert not outcome.is_applied
    assert _actions(outcome) == [REJECT, REJECT]
    assert outcome.lines[0].text.startswith(words), outcome.lines[0].text
    assert await Permission.all().count() == rows
    assert await AuditEntry.all().count() == 0


async def test_a_line_may_not_contradict_an_earlier_one(town: Town) -> None:
    """The same permission twice in one table is refused at the second; under another letter case too."""
    owner = await town.access("OWNER of installation")
    outcome = await _import(
        owner,
        town.site.id,
        "email,charger,role,remove",
        "a@example.com,Space 1,USER,",
        "A@example.com,space 1,user,yes",
        "a@example.com,Space 1,OWNER,",
    )
    assert _actions(outcome) == [ADD, REJECT, ADD]
    assert outcome.lines[1].text == "Line 2 is about the same permission already."


@pytest.mark.parametrize("caller", [*PEOPLE, "program", "other program"])
async def test_who_may_import(town: Town, caller: str) -> None:
    """Whoever decides about permissions at the whole installation."""
    if "program" in caller:
        scope = Scope.MANAGE_PERMISSIONS if caller == "program" else Scope.MANAGE_CARDS
        viewer = await (await a_program(town.site, scopes=[scope])).access()
    else:
        viewer = await town.access(caller)
    line = ("email,charger,role", "a@example.com,Space 1,USER")
    if caller in ("OWNER of installation", "ADMINISTRATOR", "program"):
        assert (await _import(viewer, town.site.id, *line)).is_applied
        hidden = new_id() if caller == "ADMINISTRATOR" else town.other_site.id
        with pytest.raises(NotFoundError):
            await _import(viewer, hidden, *line)
        return
    with pytest.raises(NotFoundError if caller == "stranger" else NotAllowedError):
        await _import(viewer, town.site.id, *line)
    assert await _granted() == []


async def test_a_program_imports_people_by_its_own_ids(town: Town) -> None:
    """What is not the program's to give is rejected line by line; its ids name its grants."""
    program, person = await a_program(town.site, scopes=[Scope.MANAGE_PERMISSIONS]), town.people["stranger"]
    await program.knows(person, "tenant 7")
    viewer = await program.access()
    header = "externalUserId,charger,role,externalId,remove"
    outcome = await _import(
        viewer,
        town.site.id,
        header,
        "tenant 7,Space 1,OWNER,c1,",
        "tenant 7,,USER,c2,",
        "tenant 7,,OWNER,,",
        "tenant 8,,USER,,",
    )
    assert _actions(outcome) == [ADD, ADD, REJECT, REJECT]
    assert outcome.lines[2].text == "The role OWNER there is not yours to give or take."
    assert outcome.lines[3].text == "externalUserId: there is no “tenant 8” here, or it is not yours to see."
    assert (await access(person)).installations == {}
    good = (header, "tenant 7,Space 1,OWNER,c1,", "tenant 7,,USER,c2,")
    assert (await _import(viewer, town.site.id, *good)).is_applied
    assert (await access(person)).installations == {town.site.id: {Role.USER}}
    outcome = await _import(viewer, town.site.id, header, "tenant 7,Space 1,OWNER,c1,", ",,,c2,yes", ",,,c3,yes")
    assert _actions(outcome) == [KEEP, REMOVE, KEEP]
    assert _texts(outcome)[1:] == [
        "The permission “c2” ends now.",
        "The permission “c3” is not there: nothing to remove.",
    ]
    assert (await access(person)).installations == {}


async def test_an_external_id_stays_where_a_table_says_nothing_of_it(town: Town) -> None:
    """An owner's table does not cut a program off from its grants."""
    owner = await town.access("OWNER of installation")
    program = await (await a_program(town.site)).access()
    grant = Grant(subject=SubjectKey(email="a@example.com"), object_id=town.site.id, role=Role.USER, external_id="c1")
    made = await grant_permission(program, grant, bus=RecordingBus())
    outcome = await _import(owner, town.site.id, "email,role,validTo", "a@example.com,USER,2026-12-31")
    assert _actions(outcome) == [CHANGE]
    assert await revoke_permission(program, external_id="c1", bus=RecordingBus()) == made


async def test_chargers_go_by_name_identity_and_id(town: Town) -> None:
    """Where a name is another's identity the id decides."""
    await a_charger(town.site, "CP-7", identity="twin")
    other = await a_charger(town.site, "Other", identity="CP-7")
    gone = await a_charger(town.site, "Gone")
    await Charger.filter(id=gone).update(removed_at=NOW)
    owner = await town.access("OWNER of installation")
    words = ("twin", f"id:{other}", "CP-7", "Gone", f"id:{town.other_charger_id}", f"id:{gone}")
    lines = [f"p{number}@example.com,{word},USER" for number, word in enumerate(words)]
    outcome = await _import(owner, town.site.id, "email,charger,role", *lines)
    assert _actions(outcome) == [ADD, ADD, REJECT, REJECT, REJECT, REJECT]
    assert "charger CP-7 for p0" in outcome.lines[0].text
    assert "charger Other for p1" in outcome.lines[1].text


async def test_a_table_may_hand_a_site_over_but_not_leave_it_without_an_owner(town: Town) -> None:
    """What counts is how it is after the last line."""
    me, next_owner = town.people["OWNER of installation"], await a_person("Next")
    mine = (await User.get(id=me)).email
    await a_group(town.site, next_owner, name="Board")
    leave = ("email,group,role,remove", f"{mine},,OWNER,yes")
    for dry in (True, False):
        outcome = await _import(await access(me), town.site.id, *leave, "a@example.com,,OWNER,", dry=dry)
        assert (outcome.is_applied, _actions(outcome)) == (False, [REJECT, ADD])
        assert outcome.lines[0].text == "This is the installation's last owner: make another person OWNER first."
    assert await _granted() == []
    outcome = await _import(await access(me), town.site.id, *leave, ",Board,OWNER,")
    assert (outcome.is_applied, _actions(outcome)) == (True, [REMOVE, ADD])
    assert (await access(me)).installations == {}
    assert (await access(next_owner)).installations == {town.site.id: {Role.OWNER}}


async def test_two_owners_who_remove_each_other_by_tables_at_once(town: Town) -> None:
    """One of them stays."""
    first, second = town.people["OWNER of installation"], await a_person("Second")
    await a_grant(Role.OWNER, town.site, user_id=second)
    lines = {one: f"{(await User.get(id=one)).email},OWNER,yes" for one in (first, second)}
    outcomes = await asyncio.gather(
        _import(await access(first), town.site.id, "email,role,remove", lines[second]),
        _import(await access(second), town.site.id, "email,role,remove", lines[first]),
    )
    assert sorted(outcome.is_applied for outcome in outcomes) == [False, True]


async def test_the_same_table_twice_at_once_is_done_once(town: Town) -> None:
    """The second finds what the first did."""
    owner = await town.access("OWNER of installation")
    outcomes = await asyncio.gather(*(_import(owner, town.site.id, *TABLE) for _ in range(2)))
    assert sorted(map(_actions, outcomes)) == [[ADD] * 3, [KEEP] * 3]
    assert await Permission.exclude(email=None).count() == 3


async def test_an_invitation_that_ran_out_is_sent_again(town: Town) -> None:
    """One that still stands is not, so that a table can be imported every night."""
    owner = await town.access("OWNER of installation")
    await a_grant(Role.USER, town.site, email="a@example.com")
    table = ("email,role", "a@example.com,USER")
    assert _actions(await _import(owner, town.site.id, *table)) == [KEEP]
    await Permission.filter(email="a@example.com").update(invitation_expires_at=LONG_AGO)
    outcome = await _import(owner, town.site.id, *table)
    assert _actions(outcome) == [CHANGE]
    assert outcome.lines[0].text.endswith("changed: invited again; an invitation is sent.")


async def test_what_is_no_table_is_refused(town: Town) -> None:
    """By the name of the field."""
    with pytest.raises(ValidationError) as caught:
        await _import(await town.access("OWNER of installation"), town.site.id, "mail,role", "a@example.com,USER")
    assert caught.value.path == ("csv",)
    assert "The heading “mail” is unknown" in caught.value.message
