"""What a charger's socket signs in with: its identity and a key, which is kept as a keyed hash, or a certificate."""

import hashlib
import re
import secrets
from enum import IntEnum

IDENTITY_LENGTH = 48
"""OCPP 2.0.1 part 4 §3.1.1."""
_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]+")
"""OCPP's identifierString without what a URL's path would need to escape."""


class SecurityProfile(IntEnum):
    """How a charger proves who it is (OCPP 1.6 security white paper §2.2, OCPP 2.0.1 A00)."""

    NOTHING = 0
    """No proof: whoever knows the identity is taken for the charger."""
    PASSWORD = 1
    PASSWORD_OVER_TLS = 2
    CERTIFICATE_OVER_TLS = 3


KEY_BYTES = 16
"""OCPP 1.6 security white paper §2.3: an AuthorizationKey of 16 to 20 bytes."""
_HASH_BYTES = 32
OFFERED_KEY_BYTES = range(16, 41)
"""How long a key is that a charger may keep: shorter ones are guessed (OCPP 2.0.1 part 2 A00.FR.205)."""


def is_identity(text: str) -> bool:
    """Whether a charger may be called so: identities are compared sign by sign, in upper and lower case."""
    return len(text) <= IDENTITY_LENGTH and _IDENTITY.fullmatch(text) is not None


def new_charger_key() -> str:
    """A password to enter in a charger: 16 random bytes in hexadecimal, 32 characters."""
    return secrets.token_hex(KEY_BYTES)


def hash_charger_key(key: str, secret: str) -> str:
    """The hash under which the key is stored: BLAKE2b keyed with the portal's secret, 64 hexadecimal digits.

    Fast on purpose: the key is random, and 5,000 chargers may reconnect at once. A key is stored in the form in which it
    was handed out; whoever receives it as raw bytes compares their hexadecimal form.
    """
    derived = hashlib.blake2b(secret.encode(), person=b"charger keys", digest_size=64).digest()
    return hashlib.blake2b(key.encode(), key=derived, digest_size=_HASH_BYTES).hexdigest()


def hash_offered_key(key: bytes, secret: str) -> str | None:
    """The hash by which a charger that offers these bytes gets in later; None for a key that is too short or too long to be kept."""
    if len(key) not in OFFERED_KEY_BYTES:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = key.hex()
    return hash_charger_key(text, secret)
