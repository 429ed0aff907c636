"""An outside OpenID Connect provider: its ID tokens are read with its published keys, for us and for now only."""

import asyncio
import hmac
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx
import jwt
import structlog

from domain.clock import Clock
from domain.errors import ErrorCode, UnavailableError, ValidationError, invalid
from domain.ports import OpenIdIdentity

ALGORITHMS: Final = ("RS256", "ES256")
"""Signatures with the provider's own key only: with HS256 its public key would be ours to sign with."""
LEEWAY_S: Final = 60
REFETCH_S: Final = 60.0
"""Unknown keys are looked for this often at most: tokens of strangers must not make us ask the provider all day."""
KEPT_S: Final = 3600.0
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 256 * 1024
_LONGEST_SUBJECT: Final = 255
"""OpenID Connect Core 1.0 §2."""
_SEVERAL_PROOFS: Final = "mfa"
"""RFC 8176 §2."""

_log = structlog.get_logger(__name__)


class OpenIdConnect:
    """OpenIdProvider of domain.ports (OpenID Connect Core 1.0 §3.1.3.7)."""

    def __init__(self, issuer: str, audience: str, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False)
        self._keys: dict[str, Any] = {}
        self._fetched_s: float | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def verified(self, id_token: str, *, nonce: str | None, now: datetime) -> OpenIdIdentity:
        """Who the token is about. ValidationError (WRONG_CREDENTIALS) when it is not one of the provider's for us and now;
        UnavailableError when the provider's keys cannot be had.
        """
        try:
            head = jwt.get_unverified_header(id_token)
        except jwt.InvalidTokenError as error:
            raise _wrong() from error
        if head.get("alg") not in ALGORITHMS:
            raise _wrong()
        key = await self._key(str(head.get("kid") or ""))
        if key is None:
            raise _wrong()
        try:
            claims = jwt.decode(
                id_token,
                key.key,
                algorithms=[head["alg"]],
                audience=self._audience,
                issuer=self._issuer,
                # Times are compared below, with the caller's clock.
                options={
                    "require": ["iss", "sub", "aud", "exp", "iat"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise _wrong() from error
        self._check(claims, nonce, now)
        return _identity(self._issuer, claims)

    def _check(self, claims: dict[str, Any], nonce: str | None, now: datetime) -> None:
        at = now.timestamp()
        try:
            is_now = float(claims["iat"]) <= at + LEEWAY_S and float(claims["exp"]) > at - LEEWAY_S
        except (TypeError, ValueError):
            raise _wrong() from None
        audience = claims["aud"]
        is_for_several = isinstance(audience, list) and len(audience) > 1
        is_for_us = not is_for_several or claims.get("azp") == self._audience
        # A token that was asked for with a nonce is good with it only, and a nonce with such a token only.
        said = claims.get("nonce")
        is_asked = (
            said is None
            if nonce is None
            else isinstance(said, str) and hmac.compare_digest(said.encode(), nonce.encode())
        )
        subject = claims["sub"]
        if not (
            is_now and is_for_us and is_asked and isinstance(subject, str) and 0 < len(subject) <= _LONGEST_SUBJECT
        ):
            raise _wrong()

    async def _key(self, kid: str) -> Any:
        known = self._keys.get(kid)
        if known is not None and not self._is_older_than(KEPT_S):
            return known
        async with self._lock:
            if self._is_older_than(REFETCH_S if kid not in self._keys else KEPT_S):
                await self._fetch()
        return self._keys.get(kid)

    def _is_older_than(self, age_s: float) -> bool:
        return self._fetched_s is None or self._clock.monotonic() - self._fetched_s >= age_s

    async def _fetch(self) -> None:
        try:
            document = await self._json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if document.get("issuer") != self._issuer:
                raise UnavailableError("The provider calls itself by another name than LADE_OPENID_ISSUER says.")
            found = jwt.PyJWKSet.from_dict(await self._json(str(document.get("jwks_uri") or "")))
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            # Those that are known still serve; the next try comes after a while.
            self._fetched_s = self._clock.monotonic() - KEPT_S + REFETCH_S if self._keys else None
            _log.warning("the keys of the OpenID Connect provider cannot be had", reason=type(error).__name__)
            if not self._keys:
                raise UnavailableError(
                    "The sign-in provider does not answer. Try again in a moment.", retry_after_s=5
                ) from error
            return
        self._keys = {str(key.key_id or ""): key for key in found.keys}
        self._fetched_s = self._clock.monotonic()

    async def _json(self, url: str) -> dict[str, Any]:
        async with self._client.stream("GET", url) as answer:
            answer.raise_for_status()
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise ValueError("larger than a provider's documents are")
        found = httpx.Response(200, content=bytes(content)).json()
        if not isinstance(found, dict):
            raise TypeError("not an object")
        return found


def _identity(issuer: str, claims: dict[str, Any]) -> OpenIdIdentity:
    email, name, methods = claims.get("email"), claims.get("name"), claims.get("amr")
    return OpenIdIdentity(
        issuer=issuer,
        subject=claims["sub"],
        email=email if isinstance(email, str) else None,
        is_email_verified=claims.get("email_verified") is True,
        is_by_several_proofs=isinstance(methods, list) and _SEVERAL_PROOFS in methods,
        name=name.strip()[:200] if isinstance(name, str) and name.strip() and name.isprintable() else None,
    )


def _wrong() -> ValidationError:
    return invalid(
        "idToken", "This sign-in is not valid here; begin anew at the provider.", ErrorCode.WRONG_CREDENTIALS
    )
