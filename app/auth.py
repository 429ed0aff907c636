"""The cryptography of signing in: slow hashes of passwords, short-lived access tokens, secrets that are handed out once."""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

from domain.errors import ErrorCode, RateLimitedError, UnauthenticatedError, UnavailableError
from domain.ports import AccessClaims, AccessToken, OpaqueToken

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane.
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
_THREADS = max(1, (os.cpu_count() or 1) - 1)
"""At most one hash a core, and one core for everything else: answers and chargers do not wait for hashes."""
_WAITING_LIMIT = 64
"""More sign-ins than this at once would take seconds each: they are told to come back instead of piling up."""

ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)
_ALGORITHM = "HS256"
_ISSUER = "lade"
_AUDIENCE = "lade api"
_OPAQUE_BYTES = 32

T = TypeVar("T")


class Argon2Passwords:
    """Passwords of domain.ports: argon2id in two threads, so that the event loop never waits for a hash."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="argon2")
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A salted argon2id hash."""
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether it is that password; takes as long when `stored` is None, so that absence cannot be timed."""
        right = await self._in_thread(lambda: self._verify(password, stored or self._nobody))
        return right and stored is not None

    def close(self) -> None:
        """The threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING_LIMIT:
            raise RateLimitedError("Too many people are signing in at this moment. Try again shortly.", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


class SignedTokens:
    """Tokens of domain.ports: JWT with HS256 under the server's secret key (RFC 7519), and random secrets kept by SHA-256."""

    def __init__(self, secret_key: str) -> None:
        # One key a purpose: whoever signs something else with the same setting must not thereby make an access token.
        self._key = hashlib.sha256(b"lade access token\0" + secret_key.encode()).digest()
        self._digest_key = hashlib.sha256(b"lade keyed digest\0" + secret_key.encode()).digest()

    def issue(self, user_id: UUID, session_id: UUID, *, now: datetime) -> AccessToken:
        """An access token for 15 minutes."""
        expires_at = (now + ACCESS_TOKEN_LIFETIME).replace(microsecond=0)
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return AccessToken(jwt.encode(claims, self._key, algorithm=_ALGORITHM), expires_at)

    def verify(self, token: str, *, now: datetime) -> AccessClaims:
        """What the token says. UnauthenticatedError when it is not ours, is damaged or has expired (code TOKEN_EXPIRED)."""
        try:
            # Times are compared below, with the caller's clock.
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_AUDIENCE,
                options={
                    "require": ["iss", "aud", "sub", "sid", "iat", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            found = AccessClaims(
                UUID(claims["sub"]), UUID(claims["sid"]), datetime.fromtimestamp(int(claims["exp"]), UTC)
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise UnauthenticatedError("This access token is not valid. Sign in again.") from error
        if found.expires_at <= now:
            raise UnauthenticatedError("The access token has expired. Refresh it.", code=ErrorCode.TOKEN_EXPIRED)
        return found

    def opaque(self) -> OpaqueToken:
        """256 random bits, URL-safe."""
        token = secrets.token_urlsafe(_OPAQUE_BYTES)
        return OpaqueToken(token, self.digest(token))

    def digest(self, token: str) -> str:
        """SHA-256 in hexadecimal: the token has too much chance in it to be guessed from its digest."""
        return hashlib.sha256(token.encode()).hexdigest()

    def keyed(self, purpose: str, content: bytes) -> str:
        """HMAC-SHA-256 in hexadecimal, under a key of that purpose alone."""
        key = hmac.digest(self._digest_key, purpose.encode(), "sha256")
        return hmac.new(key, content, "sha256").hexdigest()


class FernetSealer:
    """Sealer of domain.ports: AES-128-CBC with HMAC-SHA-256 (Fernet) under the server's secret key."""

    def __init__(self, secret_key: str) -> None:
        key = hashlib.sha256(b"lade sealed secret\0" + secret_key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, text: str) -> str:
        """The text, sealed."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text again. UnavailableError when it was sealed under another key of the server."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            message = "A stored secret cannot be read: the server's secret key is another than when it was stored."
            raise UnavailableError(message) from error
