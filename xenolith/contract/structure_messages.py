"""Messages that name structures of a request, with the numbers apart from the words."""

from collections.abc import Mapping
from typing import Any

__all__ = ["StructureMessage"]


class StructureMessage(str):
    """A message, such as ``structure 17: its cell is flat``, that knows which structures it names.

    It is a text like any other. Where structures get other numbers, because a batch was split, joined or
    reordered, `renumbered` gives the message with all of them right.

    Parameters
    ----------
    *parts
        Words, and indices of structures where they are named; a structure reads ``structure <index>``.
    """

    __slots__ = ("parts",)

    parts: tuple[str | int, ...]
    """What it is made of."""

    def __new__(cls, *parts: str | int) -> "StructureMessage":
        """Put the parts together."""
        message = super().__new__(cls, "".join(_words(part) for part in parts))
        message.parts = parts
        return message

    @classmethod
    def of(cls, text: str) -> "StructureMessage":
        """Return a text as a message; one that is not a message already names no structure."""
        return text if isinstance(text, cls) else cls(text)

    @classmethod
    def about(cls, structure: int, text: str) -> "StructureMessage":
        """Return ``structure <index>: <text>``; nothing if the text is empty."""
        return cls(structure, ": ", *cls.of(text).parts) if text else cls()

    def apart_from(self, structure: int) -> "StructureMessage":
        """Return what `about` was given to say this of a structure; of another one, the message itself."""
        match self.parts:
            case (int(named), str(words), *rest) if named == structure and words.startswith(": "):
                return StructureMessage(words.removeprefix(": "), *rest)
        return self

    @classmethod
    def from_proto(cls, message: Any, structure: int) -> "StructureMessage":
        """Return what a contract message with ``message`` and ``message_parts`` says about a structure.

        Of a sender that gives no parts, only the number in ``structure <index>:`` at the beginning is known,
        since the contract gives that as its example.
        """
        if message.message_parts:
            return cls(*(getattr(part, part.WhichOneof("part") or "text") for part in message.message_parts))
        own = f"{_words(structure)}:"
        text = str(message.message)
        return cls(structure, text[len(own) - 1 :]) if text.startswith(own) else cls(text)

    def fill(self, message: Any) -> None:
        """Set ``message`` and ``message_parts`` of a contract message."""
        message.message = str(self)
        for part in self.parts:
            if isinstance(part, int):
                message.message_parts.add(structure=part)
            elif part:
                message.message_parts.add(text=part)

    def renumbered(self, numbers: Mapping[int, int]) -> "StructureMessage":
        """Return the message with other numbers; structures without a new one keep theirs."""
        return StructureMessage(*(_looked_up(numbers, part) for part in self.parts))

    def with_names(self, names: Mapping[int, str]) -> str:
        """Return the text with names in place of numbers; structures without a name keep their number."""
        return "".join(_words(_looked_up(names, part)) for part in self.parts)


def _looked_up(given: Mapping[int, str] | Mapping[int, int], part: str | int) -> str | int:
    return given.get(part, part) if isinstance(part, int) else part


def _words(part: str | int) -> str:
    return part if isinstance(part, str) else f"structure {part}"
