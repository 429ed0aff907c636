"""Accounts: made by invitation or openly, proven by letters, kept by passwords and one-time codes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pyotp
import pytest

from app.auth import SignedTokens
from app.jobs import deliver_some_codes
from domain.access import Access, access_of
from domain.errors import (
    ConflictError,
    ErrorCode,
    NotAllowedError,
    UnauthenticatedError,
    ValidationError,
)
from domain.events import PermissionChanged
from domain.identity import account_recovery, invitations, one_time_codes, sign_ins
from domain.identity.one_time_codes import Proofs
from domain.identity.sign_ins import Entrance, SignedIn
from domain.ids import new_id
from domain.models import AuditEntry, MailedSecret, OpenIdLink, OutboxMessage, Permission, RecoveryCode, SignIn, User
from domain.outbox import Claimed
from domain.ports import Mail, OpenIdIdentity
from domain.roles import Role
from tests.domain.mails import Post, code_of
from tests.factories import NOW, Site, a_grant, a_person, a_site, access
from tests.fakes import HandClock, OpenSeals, PlainPasswords, RecordingBus, UnlimitedAttempts

pytestmark = pytest.mark.usefixtures("database")

TOKENS = SignedTokens("a secret for tests")
URL = "https://lade.example"
PASSWORD = "nine copper wires"
NEW = "seven boats at dawn"


def _at(*, clock: HandClock | None = None, bus: RecordingBus | None = None) -> Entrance:
    return Entrance(
        passwords=PlainPasswords(),
        tokens=TOKENS,
        sealer=OpenSeals(),
        attempts=UnlimitedAttempts(),
        clock=clock or HandClock(NOW),
        bus=bus or RecordingBus(),
        address="192.0.2.1",
    )


async def _letters() -> list[Mail]:
    rows = await OutboxMessage.filter(kind="mail").order_by("created_at", "id")
    return [msgspec.json.decode(row.payload, type=Mail) for row in rows]


async def _written(clock: HandClock | None = None, *, is_away: bool = False) -> list[Mail]:
    """The letters with codes that are written and sent now."""
    post = Post(is_away=is_away)
    while await deliver_some_codes(post, TOKENS, URL, clock or HandClock(NOW)):
        pass
    return post.taken


async def _reset_code() -> str:
    """The code of a letter that Kari asked for."""
    await account_recovery.request_password_reset("kari@example.com", at=_at())
    (letter,) = await _written()
    return code_of(letter)


async def _sign_up(**given: Any) -> SignedIn:
    wanted: dict[str, Any] = {
        "name": "Nora",
        "email": "nora@example.com",
        "password": PASSWORD,
        "invitation_token": None,
        "is_open": True,
        "public_url": URL,
        "at": _at(),
        **given,
    }
    return await account_recovery.sign_up(**wanted)


async def test_an_open_sign_up_tells_nobody_whether_an_address_has_an_account() -> None:
    """Both are signed in, without an address; what differs is in the letter, which only the address's reader sees."""
    await a_person("Kari", email="kari@example.com", password=PASSWORD)
    for email in ("kari@example.com", "nora@example.com"):
        signed_in = await _sign_up(email=email)
        assert (await User.get(id=signed_in.access.person())).email is None
    taken, free = await _letters()
    assert (taken.to, taken.subject) == ("kari@example.com", "You have an account already")
    assert free.subject == "Is this your address?"


async def test_a_proven_address_signs_in() -> None:
    """Not before the code of the letter was entered, and the code is good once."""
    signed_up = await _sign_up()
    with pytest.raises(ValidationError):
        await sign_ins.sign_in("nora@example.com", PASSWORD, at=_at())
    code = code_of((await _letters())[0])
    await account_recovery.verify_email(signed_up.access, code, tokens=TOKENS)
    assert (await sign_ins.sign_in("nora@example.com", PASSWORD, at=_at())).access.person() == signed_up.access.person()
    with pytest.raises(ValidationError) as caught:
        await account_recovery.verify_email(signed_up.access, code, tokens=TOKENS)
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


@pytest.mark.parametrize("who", ["nobody", "another"])
async def test_a_stranger_gets_nobodys_address_by_their_click(who: str) -> None:
    """Whoever made an account with somebody's address, the letter's reader proves nothing for it: not signed out, not as another."""
    stranger = await _sign_up(password="known to a stranger")
    code = code_of((await _letters())[0])
    reader = Access.nobody(NOW) if who == "nobody" else await access(await a_person("Nora"))
    with pytest.raises(UnauthenticatedError if who == "nobody" else ValidationError):
        await account_recovery.verify_email(reader, code, tokens=TOKENS)
    assert (await User.get(id=stranger.access.person())).email is None
    with pytest.raises(ValidationError):
        await sign_ins.sign_in("nora@example.com", "known to a stranger", at=_at())


async def test_sign_up_is_by_invitation_unless_it_is_open() -> None:
    """Without an invitation nothing is made."""
    with pytest.raises(ValidationError) as caught:
        await _sign_up(is_open=False)
    assert caught.value.path == ("invitationToken",)
    assert await User.all().count() == 0


async def _invited(site: Site, role: Role = Role.USER, email: str = "nora@example.com", **grant: Any) -> str:
    """The code of an invitation, as the letter says it."""
    row = await a_grant(role, site, email=email, **grant)
    mail = await invitations.write(Claimed(new_id(), row.hex, 1, NOW), tokens=TOKENS, public_url=URL, now=NOW)
    assert mail is not None
    assert mail.to == email
    return code_of(mail)


async def test_an_invitation_makes_an_account_with_its_permission() -> None:
    """The address is proven by the letter; the code is good once."""
    site = await a_site()
    code = await _invited(site)
    signed_in = await _sign_up(is_open=False, invitation_token=code)
    person = await User.get(id=signed_in.access.person())
    assert (person.email, person.email_verified_at) == ("nora@example.com", NOW)
    assert (await access(person.id)).roles_at(site.id) == {Role.USER}
    with pytest.raises(ValidationError):
        await _sign_up(is_open=False, invitation_token=code, email="other@example.com")
    assert await User.all().count() == 1


async def test_an_invitation_for_another_address_makes_nothing() -> None:
    """The code alone is not enough: the address must be the invited one."""
    code = await _invited(await a_site())
    with pytest.raises(ValidationError) as caught:
        await _sign_up(invitation_token=code, email="other@example.com")
    assert caught.value.path == ("email",)
    assert await User.all().count() == 0


async def test_an_invitations_code_tells_nothing_of_other_addresses() -> None:
    """An address with an account and one without get the same words, unless it is the invited one."""
    await a_person("Kari", email="kari@example.com")
    code, told = await _invited(await a_site()), []
    for email in ("kari@example.com", "other@example.com"):
        with pytest.raises(ValidationError) as caught:
            await _sign_up(invitation_token=code, email=email)
        told.append((caught.value.code, caught.value.path, caught.value.message))
    assert told[0] == told[1]


async def test_an_account_by_invitation_is_made_with_its_permission_or_not_at_all() -> None:
    """The invitation is taken back while the password is hashed: there is no account, and nothing is noted of one."""
    site = await a_site()
    code = await _invited(site)

    class MeanwhileRevoked(PlainPasswords):
        async def hash(self, password: str) -> str:
            await Permission.all().update(revoked_at=NOW)
            return await super().hash(password)

    with pytest.raises(ValidationError) as caught:
        await _sign_up(invitation_token=code, at=replace(_at(), passwords=MeanwhileRevoked()))
    assert (caught.value.code, caught.value.path) == (ErrorCode.TOKEN_EXPIRED, ("invitationToken",))
    assert (await User.all().count(), await AuditEntry.all().count(), await SignIn.all().count()) == (0, 0, 0)


async def test_accepting_gives_the_permission_to_who_has_the_code() -> None:
    """It is told to their programs at once, and in the audit log."""
    site, person, bus = await a_site(), await a_person("Nora"), RecordingBus()
    code = await _invited(site, Role.OWNER)
    accepted = await invitations.accept(await access(person), code, tokens=TOKENS, bus=bus)
    row = await Permission.get(id=accepted)
    assert (row.user_id, row.email, row.invitation_digest) == (person, None, None)
    assert PermissionChanged(user_id=person, installation_id=site.id) in bus.published
    assert await AuditEntry.filter(action="permission.accept", installation_id=site.id).count() == 1


async def test_accepting_what_is_held_already_makes_it_last() -> None:
    """One grant with the later end remains."""
    site, person = await a_site(), await a_person("Nora")
    held = await a_grant(Role.USER, site, user_id=person, valid_to=NOW + timedelta(days=1))
    code = await _invited(site, valid_to=NOW + timedelta(days=9))
    assert await invitations.accept(await access(person), code, tokens=TOKENS, bus=RecordingBus()) == held
    (row,) = await Permission.filter(revoked_at=None)
    assert (row.id, row.valid_to) == (held, NOW + timedelta(days=9))


async def test_a_time_in_which_nothing_was_granted_stays_so() -> None:
    """What ended long ago gives way to the invited time: nobody charges, or sees charges, in between."""
    site, person = await a_site(), await a_person("Nora")
    held = await a_grant(Role.USER, site, user_id=person, valid_to=NOW - timedelta(days=90))
    begin, end = NOW + timedelta(days=5), NOW + timedelta(days=9)
    code = await _invited(site, valid_from=begin, valid_to=end)
    assert await invitations.accept(await access(person), code, tokens=TOKENS, bus=RecordingBus()) == held
    (row,) = await Permission.filter(revoked_at=None)
    assert (row.valid_from, row.valid_to) == (begin, end)
    assert (await access(person)).roles_at(site.id) == set()


async def test_nobody_accepts_service_that_they_gave() -> None:
    """Through an address of one's own, either."""
    site, owner = await a_site(), await a_person("Ole")
    await a_grant(Role.OWNER, site, user_id=owner)
    code = await _invited(site, Role.SERVICE, granted_by_id=owner)
    with pytest.raises(NotAllowedError):
        await invitations.accept(await access(owner), code, tokens=TOKENS, bus=RecordingBus())


@pytest.mark.parametrize("trouble", ["wrong", "over", "revoked"])
async def test_a_code_that_is_not_good_is_told_so(trouble: str) -> None:
    """The same words whatever is wrong with it."""
    code = await _invited(await a_site())
    if trouble == "over":
        await Permission.all().update(invitation_expires_at=NOW)
    if trouble == "revoked":
        await Permission.all().update(revoked_at=NOW)
    viewer, shown = await access(await a_person()), "wrong" if trouble == "wrong" else code
    with pytest.raises(ValidationError) as caught:
        await invitations.accept(viewer, shown, tokens=TOKENS, bus=RecordingBus())
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


async def test_a_forgotten_password_is_set_anew_by_letter() -> None:
    """Every sign-in ends, the old password and the code are good no more."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    await account_recovery.request_password_reset("Kari@example.com", at=_at())
    code, bus = code_of((await _written())[0]), RecordingBus()
    await account_recovery.reset_password(code, NEW, public_url=URL, at=_at(bus=bus))
    assert await SignIn.filter(user_id=person, ended_at=None).count() == 0
    assert len(bus.published) == 1
    await sign_ins.sign_in("kari@example.com", NEW, at=_at())
    with pytest.raises(ValidationError):
        await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    with pytest.raises(ValidationError):
        await account_recovery.reset_password(code, PASSWORD, public_url=URL, at=_at())


async def test_asking_for_a_letter_is_the_same_work_without_an_account() -> None:
    """The answer tells nothing, nor does the time until it: whose address it is is looked up when the letter is written."""
    await a_person("Kari", email="kari@example.com", password=PASSWORD)
    for address in ("kari@example.com", "nobody@example.com"):
        await account_recovery.request_password_reset(address, at=_at())
    assert [row.kind for row in await OutboxMessage.all()] == ["password-reset"] * 2
    assert await MailedSecret.all().count() == 0
    assert [mail.to for mail in await _written()] == ["kari@example.com"]
    assert await OutboxMessage.filter(done_at=None).count() == 0


async def test_nobodys_letter_box_is_filled() -> None:
    """Five letters an hour, wherever they are asked for from; the first one's code is still good."""
    await a_person("Kari", email="kari@example.com", password=PASSWORD)
    for number in range(7):
        await account_recovery.request_password_reset(
            "kari@example.com", at=replace(_at(), address=f"192.0.2.{number + 1}")
        )
    written = await _written()
    assert len(written) == 5
    await account_recovery.reset_password(code_of(written[0]), NEW, public_url=URL, at=_at())


async def test_tries_to_get_a_letter_count_at_the_address_and_at_who_asks() -> None:
    """Each of them, for there is no right one."""
    attempts = UnlimitedAttempts()
    await account_recovery.request_password_reset("Nobody@example.com", at=replace(_at(), attempts=attempts))
    assert attempts.asked == [("192.0.2.1", "reset:nobody@example.com")]
    assert attempts.right == [False]


async def test_a_letter_that_is_written_late_is_good_for_no_longer() -> None:
    """A server of mail that was away makes a new code each time, and after the hour none."""
    await a_person("Kari", email="kari@example.com", password=PASSWORD)
    await account_recovery.request_password_reset("kari@example.com", at=_at())
    clock = HandClock(NOW)
    first = await _written(clock, is_away=True)
    clock.advance(timedelta(minutes=30))
    (second,) = await _written(clock)
    assert first == []
    assert [row.expires_at for row in await MailedSecret.all()] == [NOW + timedelta(hours=1)]
    clock.advance(timedelta(minutes=30))
    with pytest.raises(ValidationError) as caught:
        await account_recovery.reset_password(code_of(second), NEW, public_url=URL, at=_at(clock=clock))
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED
    await account_recovery.request_password_reset("kari@example.com", at=_at())
    assert await _written(clock) == []


async def test_a_letter_that_waits_while_the_password_is_changed_is_not_written() -> None:
    """It was asked for before, perhaps by somebody else."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    await account_recovery.request_password_reset("kari@example.com", at=_at())
    await account_recovery.change_password(await access(person), current=PASSWORD, new=NEW, public_url=URL, at=_at())
    assert await _written() == []


async def test_a_code_is_over_after_an_hour() -> None:
    """As the letter says."""
    await a_person("Kari", email="kari@example.com", password=PASSWORD)
    code, late = await _reset_code(), HandClock(NOW + timedelta(hours=1))
    with pytest.raises(ValidationError) as caught:
        await account_recovery.reset_password(code, NEW, public_url=URL, at=_at(clock=late))
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


async def test_changing_the_password_ends_the_other_sign_ins() -> None:
    """The one that asks goes on."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    here, there = [await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at()) for _ in range(2)]
    await account_recovery.change_password(here.access, current=PASSWORD, new=NEW, public_url=URL, at=_at())
    open_ones = await SignIn.filter(user_id=person, ended_at=None).values_list("id", flat=True)
    assert list(open_ones) == [here.access.signed_in().sign_in_id]
    with pytest.raises(ValidationError) as caught:
        await account_recovery.change_password(there.access, current=PASSWORD, new=NEW, public_url=URL, at=_at())
    assert caught.value.code is ErrorCode.WRONG_CREDENTIALS


async def _with_totp(person: UUID) -> pyotp.TOTP:
    setup = await one_time_codes.set_up(await access(person), sealer=OpenSeals(), tokens=TOKENS)
    totp = pyotp.TOTP(setup.secret)
    await one_time_codes.confirm(
        await access(person), totp.at(NOW), sealer=OpenSeals(), attempts=UnlimitedAttempts(), address="192.0.2.1"
    )
    return totp


async def test_a_code_is_asked_for_after_the_password_and_taken_once() -> None:
    """Only a right password learns that there is one; a code that was seen over a shoulder is spent."""
    totp = await _with_totp(await a_person("Kari", email="kari@example.com", password=PASSWORD))
    later = NOW + timedelta(seconds=60)
    at = _at(clock=HandClock(later))
    for password, code, expected in (
        ("wrong", None, ErrorCode.WRONG_CREDENTIALS),
        (PASSWORD, None, ErrorCode.TOTP_REQUIRED),
        (PASSWORD, "000000", ErrorCode.WRONG_CREDENTIALS),
    ):
        with pytest.raises(ValidationError) as caught:
            await sign_ins.sign_in("kari@example.com", password, totp_code=code, at=at)
        assert caught.value.code is expected
    await sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=totp.at(later), at=at)
    with pytest.raises(ValidationError):
        await sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=totp.at(later), at=at)


async def test_codes_are_removed_by_password_and_code() -> None:
    """A stolen session takes the second proof away neither with the password nor with the telephone alone."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    totp = await _with_totp(person)
    fresh = totp.at(NOW + timedelta(seconds=30))
    for password, code, expected in (
        (None, fresh, (ErrorCode.WRONG_CREDENTIALS, ("password",), False)),
        ("wrong", fresh, (ErrorCode.WRONG_CREDENTIALS, ("password",), False)),
        (PASSWORD, None, (ErrorCode.TOTP_REQUIRED, ("code",), True)),
        (PASSWORD, totp.at(NOW), (ErrorCode.WRONG_CREDENTIALS, ("code",), False)),
    ):
        attempts = UnlimitedAttempts()
        with pytest.raises(ValidationError) as caught:
            await one_time_codes.remove(await access(person), _proofs(password, code, attempts))
        assert (caught.value.code, caught.value.path, *attempts.right) == expected
    with pytest.raises(ConflictError):
        await one_time_codes.set_up(await access(person), sealer=OpenSeals(), tokens=TOKENS)
    await one_time_codes.remove(await access(person), _proofs(PASSWORD, fresh))
    await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    assert await RecoveryCode.all().count() == 0


async def test_who_has_no_password_removes_codes_by_a_code() -> None:
    """They sign in by a provider only."""
    person = await a_person("Kari", email="kari@example.com")
    totp = await _with_totp(person)
    with pytest.raises(ValidationError) as caught:
        await one_time_codes.remove(await access(person), _proofs("", None))
    assert (caught.value.code, caught.value.path) == (ErrorCode.TOTP_REQUIRED, ("code",))
    await one_time_codes.remove(await access(person), _proofs(None, totp.at(NOW + timedelta(seconds=30))))
    assert (await User.get(id=person)).totp_secret is None


def _proofs(password: str | None, code: str | None, attempts: UnlimitedAttempts | None = None) -> Proofs:
    return Proofs(
        password, code, PlainPasswords(), OpenSeals(), TOKENS, attempts or UnlimitedAttempts(), address="192.0.2.1"
    )


async def test_a_recovery_code_stands_in_for_the_app_once() -> None:
    """Ten, written down when codes are set up; however they are typed. Their keyed digests are kept, and the log says that one was used."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    setup = await one_time_codes.set_up(await access(person), sealer=OpenSeals(), tokens=TOKENS)
    first, second, *others = setup.recovery_codes
    assert (len({first, second, *others}), {len(code) for code in setup.recovery_codes}) == (10, {19})
    with pytest.raises(ValidationError):
        await one_time_codes.confirm(
            await access(person), first, sealer=OpenSeals(), attempts=UnlimitedAttempts(), address="192.0.2.1"
        )
    await one_time_codes.confirm(
        await access(person),
        pyotp.TOTP(setup.secret).at(NOW),
        sealer=OpenSeals(),
        attempts=UnlimitedAttempts(),
        address="192.0.2.1",
    )
    kept = {row.digest for row in await RecoveryCode.all()}
    assert kept == {
        TOKENS.keyed("recovery code", f"{person.hex}.{code.replace('-', '')}".encode()) for code in setup.recovery_codes
    }
    await sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=first, at=_at())
    await sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=f" {second.lower().replace('-', ' ')}", at=_at())
    for code in (first, second, "AAAA-AAAA-AAAA-AAAA"):
        with pytest.raises(ValidationError) as caught:
            await sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=code, at=_at())
        assert (caught.value.code, caught.value.path) == (ErrorCode.WRONG_CREDENTIALS, ("totpCode",))
    assert await RecoveryCode.all().count() == 8
    assert await AuditEntry.filter(action="user.useRecoveryCode", actor_id=person).count() == 2


async def test_a_recovery_code_that_comes_many_times_at_once_signs_in_once() -> None:
    """Nor does anybody else's, and a code of a set-up that was begun anew."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    other = await a_person("Ola", email="ola@example.com", password=PASSWORD)
    old = await one_time_codes.set_up(await access(person), sealer=OpenSeals(), tokens=TOKENS)
    codes = {one: (await _with_totp_and_codes(one))[0] for one in (person, other)}
    found = await asyncio.gather(
        *(sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=codes[person], at=_at()) for _ in range(5)),
        sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=codes[other], at=_at()),
        sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=old.recovery_codes[0], at=_at()),
        return_exceptions=True,
    )
    assert sum(isinstance(one, SignedIn) for one in found) == 1
    assert {one.code for one in found if isinstance(one, ValidationError)} == {ErrorCode.WRONG_CREDENTIALS}


async def test_a_code_of_the_app_that_comes_many_times_at_once_signs_in_once() -> None:
    """Whoever looks over a shoulder and is as fast has nothing of it."""
    totp = await _with_totp(await a_person("Kari", email="kari@example.com", password=PASSWORD))
    code = totp.at(NOW + timedelta(seconds=30))
    found = await asyncio.gather(
        *(sign_ins.sign_in("kari@example.com", PASSWORD, totp_code=code, at=_at()) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, SignedIn) for one in found) == 1


async def _with_totp_and_codes(person: UUID) -> Sequence[str]:
    setup = await one_time_codes.set_up(await access(person), sealer=OpenSeals(), tokens=TOKENS)
    await User.filter(id=person).update(totp_confirmed_at=NOW)
    return setup.recovery_codes


class Provider:
    """An OpenIdProvider that says what it is told to."""

    def __init__(self, **said: Any) -> None:
        self.identity = OpenIdIdentity("https://id.example", "subject-1", **said)

    async def verified(self, id_token: str, *, nonce: str | None, now: Any) -> OpenIdIdentity:
        return self.identity


async def _by_provider(provider: Provider, *, is_open: bool = False, code: str | None = None) -> SignedIn:
    return await sign_ins.sign_in_with_open_id(
        "token", nonce=None, totp_code=code, provider=provider, is_open=is_open, at=_at()
    )


async def test_a_provider_stands_for_one_proof_unless_it_says_more() -> None:
    """Who has codes is asked for one, unless the provider asked for several proofs itself."""
    person = await a_person("Kari", email="kari@example.com", is_proven=True)
    totp = await _with_totp(person)
    known: dict[str, Any] = {"email": "kari@example.com", "is_email_verified": True}
    for code, expected in ((None, ErrorCode.TOTP_REQUIRED), ("000000", ErrorCode.WRONG_CREDENTIALS)):
        with pytest.raises(ValidationError) as caught:
            await _by_provider(Provider(**known), code=code)
        assert (caught.value.code, caught.value.path) == (expected, ("totpCode",))
    assert await SignIn.all().count() == 0
    await _by_provider(Provider(**known), code=totp.at(NOW + timedelta(seconds=30)))
    assert (await _by_provider(Provider(**known, is_by_several_proofs=True))).access.person() == person


async def test_who_has_no_name_at_the_provider_is_not_named_by_their_address() -> None:
    """A name is seen by people who may not see the address."""
    made = await _by_provider(Provider(email="nora@example.com", is_email_verified=True), is_open=True)
    assert (await User.get(id=made.access.person())).name == "Unnamed"


async def test_a_provider_signs_in_whom_both_have_proven() -> None:
    """And from then on by its own id, whatever address it tells."""
    person = await a_person("Kari", email="kari@example.com")
    await User.filter(id=person).update(email_verified_at=NOW)
    first = await _by_provider(Provider(email="Kari@example.com", is_email_verified=True))
    again = await _by_provider(Provider(email="other@example.com", is_email_verified=False))
    assert first.access.person() == again.access.person() == person
    assert await OpenIdLink.all().count() == 1


@pytest.mark.parametrize(("is_proven_here", "is_proven_there"), [(False, True), (True, False)])
async def test_an_address_that_only_one_side_has_proven_links_nothing(
    is_proven_here: bool, is_proven_there: bool
) -> None:
    """Whoever took somebody else's address, here or there, gets no account by it."""
    await a_person("Kari", email="kari@example.com", is_proven=is_proven_here)
    with pytest.raises(ValidationError) as caught:
        await _by_provider(Provider(email="kari@example.com", is_email_verified=is_proven_there), is_open=True)
    assert caught.value.code is ErrorCode.WRONG_CREDENTIALS


async def test_a_provider_makes_accounts_only_where_sign_up_is_open() -> None:
    """Otherwise an invitation is needed first."""
    provider = Provider(email="nora@example.com", is_email_verified=True, name="Nora")
    with pytest.raises(ValidationError):
        await _by_provider(provider)
    made = await _by_provider(provider, is_open=True)
    assert (await User.get(id=made.access.person())).name == "Nora"


async def test_what_is_over_is_forgotten() -> None:
    """Codes a day after their end, and accounts whose address was never proven after a week."""
    await _sign_up()
    kept = await a_person("Kari", password=PASSWORD)
    await account_recovery.forget(now=NOW + timedelta(days=8))
    assert [row.id for row in await User.all()] == [kept]
    assert (await access_of(kept, now=NOW)).user_id == kept


class SlowPasswords(PlainPasswords):
    """Comparing takes as long as `meanwhile`."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def matches(self, password: str, stored: str | None) -> bool:
        is_right = await super().matches(password, stored)
        await self._meanwhile()
        return is_right


async def test_a_sign_in_by_the_old_password_does_not_outlive_it() -> None:
    """The password is set anew while the old one is still being compared: every sign-in ends, this one does not begin."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    code = await _reset_code()

    async def meanwhile() -> None:
        await account_recovery.reset_password(code, NEW, public_url=URL, at=_at())

    with pytest.raises(ValidationError) as caught:
        await sign_ins.sign_in("kari@example.com", PASSWORD, at=replace(_at(), passwords=SlowPasswords(meanwhile)))
    assert caught.value.code is ErrorCode.WRONG_CREDENTIALS
    assert await SignIn.filter(user_id=person, ended_at=None).count() == 0


async def test_a_letter_from_before_a_change_sets_no_password() -> None:
    """Who reads somebody's mail has nothing of it once they chose another password."""
    person = await a_person("Kari", email="kari@example.com", password=PASSWORD)
    code = await _reset_code()
    await account_recovery.change_password(await access(person), current=PASSWORD, new=NEW, public_url=URL, at=_at())
    with pytest.raises(ValidationError) as caught:
        await account_recovery.reset_password(code, PASSWORD, public_url=URL, at=_at())
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED
    await sign_ins.sign_in("kari@example.com", NEW, at=_at())


async def test_a_first_sign_in_that_comes_twice_at_once_is_one_account() -> None:
    """Both are signed in to it."""
    provider = Provider(email="nora@example.com", is_email_verified=True, name="Nora")
    found = await asyncio.gather(*(_by_provider(provider, is_open=True) for _ in range(4)))
    assert len({one.access.person() for one in found}) == 1
    assert (await User.all().count(), await OpenIdLink.all().count(), await SignIn.all().count()) == (1, 1, 4)


async def test_a_provider_gives_nobody_an_address_that_is_none() -> None:
    """What it tells is checked like what a person writes."""
    with pytest.raises(ValidationError):
        await _by_provider(Provider(email="nora@example.com\r\nBcc: all", is_email_verified=True), is_open=True)
    assert await User.all().count() == 0


async def test_of_two_who_refresh_at_once_neither_goes_on_unseen() -> None:
    """One of them used a spent token: the sign-in ends, whoever was the thief, and streams are told once."""
    person, bus = await a_person("Kari", email="kari@example.com", password=PASSWORD), RecordingBus()
    signed_in = await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    found = await asyncio.gather(
        *(
            sign_ins.refresh_sign_in(signed_in.refresh_token, tokens=TOKENS, clock=HandClock(NOW), bus=bus)
            for _ in range(3)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, ValidationError) for one in found) >= 2
    assert await SignIn.filter(user_id=person, ended_at=None).count() == 0
    assert len(bus.published) == 1
    for one in found:
        if isinstance(one, SignedIn):
            with pytest.raises(ValidationError):
                await sign_ins.refresh_sign_in(one.refresh_token, tokens=TOKENS, clock=HandClock(NOW), bus=bus)


@pytest.mark.parametrize(
    "forged", ["{family}.guessed", "{family}.guessed.{mark}", "{family}.{secret}x.{mark}", "{family}", "{family}."]
)
async def test_who_knows_only_the_id_of_a_sign_in_ends_nothing(forged: str) -> None:
    """It stands in access tokens and logs: with a secret that was never ours the token is refused, and the person stays signed in."""
    person, bus = await a_person("Kari", email="kari@example.com", password=PASSWORD), RecordingBus()
    signed_in = await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    family, secret, mark = signed_in.refresh_token.split(".")
    with pytest.raises(ValidationError) as caught:
        await _refreshed(forged.format(family=family, secret=secret, mark=mark), bus)
    assert (caught.value.code, bus.published) == (ErrorCode.TOKEN_EXPIRED, [])
    assert await SignIn.filter(user_id=person, ended_at=None).count() == 1
    await _refreshed(signed_in.refresh_token, bus)


async def test_a_spent_token_ends_the_sign_in_however_old_it_is() -> None:
    """Of any refresh before, not the last one only."""
    person, bus = await a_person("Kari", email="kari@example.com", password=PASSWORD), RecordingBus()
    first = await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    newest = await _refreshed((await _refreshed(first.refresh_token, bus)).refresh_token, bus)
    for token in (first.refresh_token, newest.refresh_token):
        with pytest.raises(ValidationError):
            await _refreshed(token, bus)
    assert await SignIn.filter(user_id=person, ended_at=None).count() == 0
    assert len(bus.published) == 1


async def test_a_token_of_before_tokens_were_marked_is_good_for_one_more_refresh() -> None:
    """Nobody is signed out by an upgrade."""
    await a_person("Kari", email="kari@example.com", password=PASSWORD)
    signed_in = await sign_ins.sign_in("kari@example.com", PASSWORD, at=_at())
    unmarked = signed_in.refresh_token.rpartition(".")[0]
    renewed = await _refreshed(unmarked, RecordingBus())
    assert renewed.access.signed_in().sign_in_id == signed_in.access.signed_in().sign_in_id
    assert renewed.refresh_token.count(".") == 2


async def _refreshed(token: str, bus: RecordingBus) -> SignedIn:
    return await sign_ins.refresh_sign_in(token, tokens=TOKENS, clock=HandClock(NOW), bus=bus)
