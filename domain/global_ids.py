"""Global ids: opaque to clients, `Type:uuid` in base64url inside. Pure."""

import base64
import binascii
from uuid import UUID

_MAX_LENGTH = 200


def global_id(type_name: str, identity: UUID) -> str:
    """The id as clients hold it."""
    return base64.urlsafe_b64encode(f"{type_name}:{identity}".encode()).decode().rstrip("=")


def parsed(text: str) -> tuple[str, UUID] | None:
    """Type and identity; None when it is no id of ours."""
    if len(text) > _MAX_LENGTH:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        type_name, _, identity = plain.partition(":")
        found = UUID(identity)
    except (binascii.Error, ValueError):
        return None
    return (type_name, found) if str(found) == identity else None
