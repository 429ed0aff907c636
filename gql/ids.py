"""Global ids: opaque to clients, `Type:uuid` in base64url inside. An id that is none of ours is that of nothing."""

import base64
import binascii
from uuid import UUID

from domain.errors import NotFoundError

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


def uuid_of(text: str, *type_names: str, at: str | tuple[str, ...] = ()) -> UUID:
    """The identity of a thing of one of these types; NotFoundError (at that path of the input) when it is not one."""
    found = parsed(text)
    if found is None or found[0] not in type_names:
        raise NotFoundError(path=(at,) if isinstance(at, str) else at)
    return found[1]


def optional_uuid_of(text: str | None, *type_names: str, at: str | tuple[str, ...] = ()) -> UUID | None:
    """As `uuid_of`; None stays None."""
    return None if text is None else uuid_of(text, *type_names, at=at)
