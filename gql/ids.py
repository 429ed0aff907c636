"""Global ids in inputs: one that is none of ours is that of nothing."""

from uuid import UUID

from domain.errors import NotFoundError
from domain.global_ids import global_id, parsed

__all__ = ["global_id", "optional_uuid_of", "parsed", "uuid_of"]


def uuid_of(text: str, *type_names: str, at: str | tuple[str, ...] = ()) -> UUID:
    """The identity of a thing of one of these types; NotFoundError (at that path of the input) when it is not one."""
    found = parsed(text)
    if found is None or found[0] not in type_names:
        raise NotFoundError(path=(at,) if isinstance(at, str) else at)
    return found[1]


def optional_uuid_of(text: str | None, *type_names: str, at: str | tuple[str, ...] = ()) -> UUID | None:
    """As `uuid_of`; None stays None."""
    return None if text is None else uuid_of(text, *type_names, at=at)
