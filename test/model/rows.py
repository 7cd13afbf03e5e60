"""Rows as the model has them, the transactions that write them, and what a statement ends in."""

from typing import Any, NamedTuple

from documents import Unknown

DIRECTIVES = ("continue", "pause", "cancel")


class SqlError(Exception):
    """The statement fails with one of these SQLSTATEs."""

    def __init__(self, *codes: str) -> None:
        super().__init__("/".join(codes))
        self.codes = codes


class Blocked(Exception):
    """The statement waits for another transaction."""

    def __init__(self, holder: "Tx", key: Any) -> None:
        super().__init__(f"waits for {holder.name}")
        self.holder = holder
        self.key = key


class Step(NamedTuple):
    """A row of the steps table."""

    doc: Any = None
    processed: bool = False
    in_process: bool = False
    results: Any = None
    note: int = 0
    updated: Any = None
    born: int = 0  # tells it from another with the same key


class Receipt(NamedTuple):
    """The last write accepted under an event."""

    event: Any
    written: str
    sequence: int
    timestamp: Any
    tx: Any


class Event(NamedTuple):
    """A row of the dispatch table; without an id it is a directive only."""

    id: Any = None
    directive: str = "continue"
    worker: str | None = None
    lease: str | None = None
    alive: bool = False
    deliveries: int = 0
    parked: bool = False
    available: float = 0
    delayed: bool = False
    sequence: int = 0
    yielded: Receipt | None = None
    continuation: Any = None
    saved: Receipt | None = None


class Tx:
    """A transaction, or a statement that is one."""

    def __init__(self, name: str, isolation: str, now: Unknown) -> None:
        self.name = name
        self.isolation = isolation
        self.now = now
        self.snapshot: dict[Any, Any] | None = None
        self.writes: dict[Any, Any] = {}
        self.locks: set[Any] = set()
        self.notes: list[tuple[str, int]] = []
        self.wrote: bool | None = False  # None: perhaps
        self.saves: list[tuple[str, Any]] = []
        self.failed = False
        self.stale_warned = False
        self.waits_for: Tx | None = None
        self.memo: dict[str, Any] = {}  # of a statement, when it is run again
        self.warnings: list[str] = []

    @property
    def repeatable(self) -> bool:
        """Whether it has one snapshot."""
        return self.isolation != "READ COMMITTED"

    def state(self) -> Any:
        """What a savepoint keeps."""
        return (
            dict(self.writes), set(self.locks), list(self.notes), self.wrote,
            self.stale_warned,
        )  # fmt: skip

    def restore(self, state: Any) -> None:
        """Go back to what a savepoint kept, which stays good for later."""
        wrote = self.wrote
        (self.writes, self.locks, self.notes, self.wrote, warned) = (
            dict(state[0]), set(state[1]), list(state[2]), *state[3:],
        )  # fmt: skip
        if wrote is not False and self.wrote is False:
            self.wrote = None
        self.stale_warned = self.stale_warned or warned
