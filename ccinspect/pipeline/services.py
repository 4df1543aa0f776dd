"""What hooks are given to work with besides the request: parts of the daemon, by their class."""

from __future__ import annotations


class Services:
    """One object of a class each. Hooks ask for them by class, so that both sides know what they get."""

    __slots__ = ("_by_class",)

    def __init__(self, *services: object) -> None:
        self._by_class: dict[type, object] = {type(service): service for service in services}

    def find[T](self, kind: type[T]) -> T | None:
        found = self._by_class.get(kind)
        return found if isinstance(found, kind) else None

    def get[T](self, kind: type[T]) -> T:
        """Raises LookupError where the daemon has none."""
        found = self.find(kind)
        if found is None:
            raise LookupError(f"there is no {kind.__name__} here for hooks to use")
        return found


NO_SERVICES = Services()
