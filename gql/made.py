"""What a mutation's resolver did, where its thing is shown with more than a later reading would show."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Made:
    """The thing's id, and what is shown this once and never again, by the success type's field."""

    identity: UUID
    shown_once: dict[str, object] = field(default_factory=dict)
