"""What a charger's socket signs in with: random keys, kept as keyed hashes."""

import hashlib
import secrets

KEY_BYTES = 16
"""OCPP 1.6 security white paper §2.3: an AuthorizationKey of 16 to 20 bytes."""
_HASH_BYTES = 32


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
