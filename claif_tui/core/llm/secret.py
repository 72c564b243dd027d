"""A key that does not show itself in reprs, logs or error texts; nothing about where it comes from."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Holds one API key. Only ``reveal`` gives it back; printing, formatting and pickling do not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself, for the Authorization header and nothing else."""
        return self._value

    def scrub(self, text: str) -> str:
        """Return ``text`` with every occurrence of the key masked (servers like to echo it in errors)."""
        return text.replace(self._value, "***") if self._value else text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")
