"""Passwords are hashed slowly and off the loop; tokens say who, until when, and cannot be made by others."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from app.auth import Argon2Passwords, SignedTokens
from domain.errors import ErrorCode, RateLimitedError, UnauthenticatedError
from domain.ports import AccessClaims

NOW = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
WHO = UUID("018f0000-0000-7000-8000-000000000001")
SIGN_IN = UUID("018f0000-0000-7000-8000-000000000002")
KEY = "k" * 64


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    made = Argon2Passwords()
    yield made
    made.close()


async def test_a_password_matches_its_hash_only(passwords: Argon2Passwords) -> None:
    """The right password matches, another does not, and the hash is argon2id with 19 MiB and two passes."""
    stored = await passwords.hash("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches("correct horse battery", stored)
    assert not await passwords.matches("correct horse", stored)
    assert stored != await passwords.hash("correct horse battery")


@pytest.mark.parametrize("stored", [None, "", "plain", "$argon2id$broken"])
async def test_nothing_matches_without_a_hash(passwords: Argon2Passwords, stored: str | None) -> None:
    """An absent or damaged hash matches no password and raises nothing."""
    assert not await passwords.matches("correct horse battery", stored)


async def test_too_many_at_once_are_told_to_come_back(passwords: Argon2Passwords) -> None:
    """Beyond 64 at once a sign-in is refused at once instead of waiting for ever; the others are served."""
    results = await asyncio.gather(*(passwords.matches("x", None) for _ in range(66)), return_exceptions=True)
    assert [type(one) for one in results[64:]] == [RateLimitedError, RateLimitedError]
    assert results[:64] == [False] * 64


def test_a_token_says_who_and_until_when() -> None:
    """What was issued is verified to the same person and sign-in, for 15 minutes."""
    tokens = SignedTokens(KEY)
    issued = tokens.issue(WHO, SIGN_IN, now=NOW)
    assert issued.expires_at == datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    last = issued.expires_at - timedelta(microseconds=1)
    assert tokens.verify(issued.token, now=last) == AccessClaims(WHO, SIGN_IN, issued.expires_at)


def test_a_keyed_digest_is_of_its_key_purpose_and_content() -> None:
    """The same for the same, and another as soon as one of the three is another."""
    tokens = SignedTokens(KEY)
    found = tokens.keyed("idempotency", b"secret")
    assert len(found) == 64
    assert tokens.keyed("idempotency", b"secret") == found
    others = (
        SignedTokens("o" * 64).keyed("idempotency", b"secret"),
        tokens.keyed("refresh", b"secret"),
        tokens.keyed("idempotency", b"other"),
    )
    assert len({found, *others}) == 4


def test_an_expired_token_says_so() -> None:
    """From its end on a token is refused with TOKEN_EXPIRED, so that programs know to refresh."""
    tokens = SignedTokens(KEY)
    issued = tokens.issue(WHO, SIGN_IN, now=NOW)
    with pytest.raises(UnauthenticatedError) as caught:
        tokens.verify(issued.token, now=issued.expires_at)
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


def forged() -> dict[str, str]:
    claims = {"sub": str(WHO), "sid": str(SIGN_IN), "iat": 0, "exp": 4_000_000_000}
    genuine = SignedTokens(KEY).issue(WHO, SIGN_IN, now=NOW).token
    head, body, _ = genuine.split(".")
    return {
        "empty": "",
        "words": "not a token",
        "other key": SignedTokens("o" * 64).issue(WHO, SIGN_IN, now=NOW).token,
        "the setting itself as key": jwt.encode(claims, KEY, algorithm="HS256"),
        "no algorithm": jwt.encode(claims, "", algorithm="none"),
        "no signature": f"{head}.{body}.",
        "cut": genuine[:-2],
    }


@pytest.mark.parametrize("name", forged())
def test_a_forged_token_is_refused(name: str) -> None:
    """Nothing but our own signature under our own key is believed."""
    with pytest.raises(UnauthenticatedError) as caught:
        SignedTokens(KEY).verify(forged()[name], now=NOW)
    assert caught.value.code is ErrorCode.NOT_ALLOWED


def test_opaque_tokens_are_kept_by_their_digest() -> None:
    """Two are never alike; the digest is found again from the token, and does not contain it."""
    tokens = SignedTokens(KEY)
    one, other = tokens.opaque(), tokens.opaque()
    assert one.token != other.token
    assert len(one.token) == 43
    assert tokens.digest(one.token) == one.digest
    assert len(one.digest) == 64
