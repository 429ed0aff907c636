"""Sentences that are written in a reader's language later on: a template in English and its values. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Words = Callable[..., str]
"""`words("{count} others", count=3)`: the English text, with its values, in the language."""


def english(text: str, /, **values: object) -> str:
    """The text with its values."""
    return text.format(**values)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, in whatever language `worded` is asked for."""

    template: str
    values: Mapping[str, object]

    def worded(self, words: Words) -> str:
        """The sentence in that language."""
        return words(self.template, **self.values)
