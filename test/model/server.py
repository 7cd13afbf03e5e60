"""The real server beside the model: each statement goes to both.

What is compared: rows returned, SQLSTATEs, warnings, whether a statement
waits and for whom, the tables as a transaction sees them after each of its
statements, and, when one has ended, as all see them, with the notifications.
"""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.adapt import Loader

from comparison import Mismatch, compare_event, compare_history, compare_step, match, short
from documents import ABSENT, Skip, dump
from operations import F, KEY, MODEL, NO_EVENT, SQL, TABLE, json_sql, quote
from rows import Blocked, SqlError, Step, Tx
from session import PATIENCE, Pending, Session
from world import World, ident
from writes import where

SCHEMA = f"""
CREATE SCHEMA tasker;
CREATE TABLE {TABLE} (
    {KEY} uuid PRIMARY KEY,
    in_process boolean NOT NULL DEFAULT false,
    processed boolean NOT NULL DEFAULT false,
    processed_at timestamp,
    results jsonb,
    backoff_request_seconds integer,
    note integer NOT NULL DEFAULT 0,
    updated_at timestamp NOT NULL DEFAULT now(),
    checkpoint jsonb
);
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zzz_suppress BEFORE UPDATE ON {TABLE} FOR EACH ROW
    WHEN (NEW.note = -1) EXECUTE FUNCTION suppress();
CREATE TABLE work (n integer);
CREATE EXTENSION tasker_checkpoint;
"""

STATE = f"""
SELECT (SELECT jsonb_object_agg({KEY}, to_jsonb(t) - '{KEY}' || jsonb_build_object(
            'null', checkpoint IS NULL,
            'load', (SELECT to_jsonb(l) FROM {F}load({KEY}) l),
            'history', (SELECT jsonb_agg(to_jsonb(h) ORDER BY n)
                        FROM {F}history({KEY}) WITH ORDINALITY
                        h (generation, sequence, cursor, items, at, results,
                           archived, cleared_at, cleared_by, n))))
        FROM {TABLE} t),
       (SELECT jsonb_object_agg(step_uuid, to_jsonb(e) || jsonb_build_object(
            'alive', coalesce(lease_until > clock_timestamp(), false),
            'delayed', worker IS NULL AND available_at > clock_timestamp()))
        FROM {F}events e)
"""

CLEAN = f"""
DELETE FROM {F}events; DELETE FROM {F}archive; DELETE FROM {TABLE}; DELETE FROM work;
"""

DEFAULTS: dict[str, Any] = {
    "history_limit": 10, "history_size": 65536, "cursor_limit": 65536,
    "results_limit": 1048576, "results_warning": 262144, "enforce": "error",
    "require_monotonic_items": "functions", "require_claim": False,
    "max_deliveries": 20, "archive_history": False, "notify": True,
}  # fmt: skip



class Run:
    """One sequence of operations, from an empty database on."""

    def __init__(self, server: "Server", settings: dict[str, Any]) -> None:
        self.server = server
        self.observer = server.observer
        self.world = World(server.size)
        self.world.settings = {**DEFAULTS, **settings}
        self.pending: Pending | None = None
        self.script: list[tuple[str, str]] = []
        self.ids: dict[str, list[str]] = {}
        self.variables: dict[str, str] = {}
        self.expected_notes: list[str] = []
        self.copies: list[tuple[str, Step]] = []
        self.written: list[tuple[str, Any]] = []
        self.calls: dict[str, int] = {}
        self.current = ""
        self.configure()
        self.observer.connection.execute(CLEAN)
        server.notifications.clear()

    def configure(self) -> None:
        """Give the sessions their settings."""
        sets = "".join(
            f"SET tasker_checkpoint.{k} = {quote(str(v))}; "
            for k, v in self.world.settings.items()
        )
        for session in self.server.sessions.values():
            session.connection.execute(sets)

    # Operations

    def perform(self, name: str, operation: str, *args: Any) -> None:
        """Do an operation in a session.  Raises Mismatch."""
        self.current = operation
        session = self.server.sessions[name]
        if self.pending and self.pending.session is session:
            return
        if operation in (
            "begin",
            "commit",
            "rollback",
            "savepoint",
            "rollback_to",
            "release_savepoint",
        ):
            self.control(session, operation, *args)
            return
        if operation == "copy":
            self.copy(session, *args)
            return
        if operation == "repeat":
            if not self.written:
                return
            operation, args = self.written[-1 - args[0] % len(self.written)]
        resolved = self.resolve(args)
        if resolved is None or (
            operation == "release" and resolved[2] and not self.server.interrupted
        ):
            return
        if operation in ("yield_", "save", "step_event"):
            self.written.append((operation, resolved))
        self.statement(
            session,
            SQL[operation](*resolved),
            lambda w, tx: MODEL[operation](w, tx, *resolved),
            operation,
        )

    def resolve(self, args: Any) -> Any:
        """Put in what is known only now; None if there is none."""
        resolved = []
        for arg in args:
            if isinstance(arg, tuple) and arg[0] == "event":
                known = self.ids.get(arg[1], [])
                arg = known[-arg[2]] if len(known) >= arg[2] else NO_EVENT
            elif isinstance(arg, tuple) and arg[0] == "copy":
                if not self.copies:
                    return None
                step, arg = self.copies[-1 - arg[1] % len(self.copies)]
                resolved.append(step)
            resolved.append(arg)
        return resolved

    def copy(self, session: Session, s: str) -> None:
        """Keep a row as the session sees it."""
        tx = session.tx
        if (tx and (tx.failed or tx.isolation == "SERIALIZABLE")) or self.pending:
            return
        if tx and tx.repeatable and tx.snapshot is None:
            tx.snapshot = dict(self.world.committed)
        row = self.state(session)[0].get(s)
        if row is not None:
            doc = ABSENT if row["null"] else row["checkpoint"]
            self.copies.append((s, Step(doc, row["processed"], note=row["note"])))
            variable = f"c{len(self.copies)}"
            self.note(session, f"SELECT checkpoint AS {variable} FROM {TABLE} {where(s)} \\gset")
            self.variables[json_sql(doc)] = f":'{variable}'::jsonb"

    def control(self, session: Session, operation: str, argument: Any = None) -> None:
        tx, world = session.tx, self.world
        if (operation == "begin") != (tx is None):
            return
        if operation == "begin":
            session.tx = world.begin(session.name, argument)
            self.plain(session, f"BEGIN ISOLATION LEVEL {argument}")
            return
        assert tx is not None
        known = [n for n, _ in tx.saves]
        if operation in ("commit", "rollback"):
            error = self.plain(session, operation.upper(), serializable=tx)
            self.end(session, tx, operation == "commit" and error is None)
            session.tx = None
            self.after_end()
        elif operation == "savepoint" and not tx.failed:
            tx.saves.append((argument, tx.state()))
            self.plain(session, f"SAVEPOINT {argument}")
        elif operation == "rollback_to" and argument in known:
            while tx.saves[-1][0] != argument:
                tx.saves.pop()
            tx.restore(tx.saves[-1][1])
            tx.failed = False
            self.plain(session, f"ROLLBACK TO {argument}")
            self.resume()
        elif operation == "release_savepoint" and argument in known and not tx.failed:
            while tx.saves.pop()[0] != argument:
                pass
            self.plain(session, f"RELEASE {argument}")

    def plain(self, session: Session, sql: str, serializable: Tx | None = None) -> Any:
        self.note(session, sql)
        result = session.send(sql).result(PATIENCE)
        if isinstance(result, psycopg.Error):
            if (
                serializable
                and serializable.isolation == "SERIALIZABLE"
                and result.sqlstate == "40001"
            ):
                return result
            raise Mismatch(f"{sql}: {result.sqlstate} {result}")
        return None

    def statement(self, session: Session, sql: str, model: Any, operation: str) -> None:
        world = self.world
        tx = session.tx or world.begin(session.name)
        before = (tx.state(), tx.saves, tx.failed, tx.snapshot, tx.stale_warned)
        world.window = (
            datetime.now(UTC) - timedelta(milliseconds=2),
            datetime.now(UTC) + timedelta(hours=1),
        )
        expected: Any = None
        try:
            expected = world.run(tx, model)
        except SqlError as error:
            expected = error
        except (Skip, Blocked) as reason:
            if isinstance(reason, Skip) or self.pending:
                (
                    (tx.writes, tx.locks, tx.notes, tx.wrote, _),
                    tx.saves,
                    tx.failed,
                    tx.snapshot,
                    tx.stale_warned,
                ) = before
                tx.waits_for = None
                if session.tx is None:
                    world.transactions.remove(tx)
                return
            self.note(session, sql + "  -- waits")
            future = session.send(sql)
            self.pending = Pending(session, tx, model, future, reason, world.window[0])
            self.calls["waits"] = self.calls.get("waits", 0) + 1
            self.await_wait()
            return
        self.calls[operation] = self.calls.get(operation, 0) + 1
        self.note(session, sql)
        deadlock = isinstance(expected, SqlError) and "40P01" in expected.codes
        if deadlock:
            # only now, so that this one is its victim
            session.connection.execute("SET deadlock_timeout = '10ms'")
        future = session.send(sql)
        try:
            actual = future.result(PATIENCE)
        except TimeoutError:
            raise Mismatch(f"it waits for {self.blockers(session)}") from None
        if deadlock and session.tx is None:
            session.connection.execute("SET deadlock_timeout = '1h'")
        self.conclude(session, tx, expected, actual, sql)

    def conclude(self, session: Session, tx: Tx, expected: Any, actual: Any, sql: str) -> None:
        """Compare what came of a statement."""
        self.world.window = (self.world.window[0], datetime.now(UTC) + timedelta(milliseconds=2))
        error = actual.sqlstate if isinstance(actual, psycopg.Error) else None
        if error == "40001" and tx.isolation == "SERIALIZABLE":
            if not isinstance(expected, SqlError):
                self.world.fail(tx)
            expected = SqlError("40001")
        if error:
            if not isinstance(expected, SqlError):
                raise Mismatch(f"{error} ({actual.diag.message_primary}), not {short(expected)}")
            if error not in expected.codes:
                raise Mismatch(f"{error} ({actual.diag.message_primary}), not {expected}")
        elif isinstance(expected, SqlError):
            raise Mismatch(f"{short(actual)}, not {expected}")
        else:
            rows = expected
            if isinstance(rows, list) and not self.server.replayed and rows and len(rows[0]) == 4:
                rows = [row[:3] for row in rows]
            match(rows, actual, "result")
            warnings = sorted("01000" if w == "stale" else w for w in tx.warnings)
            if warnings != sorted(session.warnings):
                raise Mismatch(f"warnings {session.warnings}, not {tx.warnings}")
        if tx is session.tx:
            if not tx.failed and tx.isolation != "SERIALIZABLE":
                self.compare(session, tx)
            if error:
                self.resume()
        else:
            self.end(session, tx, error is None)
            self.after_end()

    def end(self, session: Session, tx: Tx, commit: bool) -> None:
        notes = self.world.end(tx, commit)
        self.expected_notes = sorted(
            json.dumps({"step_uuid": s, "sequence": n}, separators=(",", ":")) for s, n in notes
        )

    def after_end(self) -> None:
        """When a transaction has ended: look at it from outside, go on."""
        notes = self.expected_notes
        if self.pending and self.pending.blocked.holder not in self.world.transactions:
            # it may be done before we look
            self.resume(notes)
            return
        self.outside(notes)

    def outside(self, notes: list[str]) -> None:
        self.compare(self.observer, None)
        actual = sorted(
            json.dumps(
                {k: v for k, v in json.loads(n).items() if k != "queue"}, separators=(",", ":")
            )
            for n in self.server.notifications
        )
        self.server.notifications.clear()
        if actual != sorted(notes):
            raise Mismatch(f"notifications {actual}, not {sorted(notes)}")

    # Waiting

    def blockers(self, session: Session) -> list[int]:
        rows = self.observer.execute(f"SELECT pg_blocking_pids({session.pid})")
        return list(rows[0][0])

    def await_wait(self) -> None:
        """Until the server, too, waits for whom the model says."""
        pending = self.pending
        assert pending is not None
        holder = self.server.sessions[pending.blocked.holder.name].pid
        deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE)
        while holder not in self.blockers(pending.session):
            if pending.future.done():
                raise Mismatch(f"it does not wait: {short(pending.future.result())}")
            if datetime.now(UTC) > deadline:
                raise Mismatch(f"it waits for {self.blockers(pending.session)}, not {holder}")
            threading.Event().wait(0.001)

    def resume(self, notes: list[str] | None = None) -> None:
        """Go on with what has waited, if it can."""
        pending = self.pending
        if pending is None:
            if notes is not None:
                self.outside(notes)
            return
        world, tx = self.world, pending.tx
        # whatever others have done since, it waits for the lock that it has begun to wait for
        if world.holder(tx, pending.blocked.key) is pending.blocked.holder:
            if notes is not None:
                self.outside(notes)
            return
        world.window = (pending.since, datetime.now(UTC) + timedelta(hours=1))
        try:
            expected = world.run(tx, pending.model)
        except SqlError as error:
            expected = error
        except Skip:
            raise SkipRun from None
        except Blocked as blocked:
            still = blocked.holder is pending.blocked.holder
            pending.blocked = blocked
            if not still:
                self.await_wait()
            if notes is not None:
                self.outside(notes)
            return
        self.pending = None
        self.note(pending.session, "-- goes on")
        try:
            actual = pending.future.result(PATIENCE)
        except TimeoutError:
            raise Mismatch(f"it still waits for {self.blockers(pending.session)}") from None
        session = pending.session
        if tx is session.tx or not notes:
            self.conclude(session, tx, expected, actual, "")
            if notes is not None and tx is session.tx:
                self.outside(notes)
            return
        # both have ended: what is notified is told together
        extra = notes
        end = self.end

        def both(session: Session, tx: Tx, commit: bool) -> None:
            end(session, tx, commit)
            self.expected_notes = sorted([*self.expected_notes, *extra])

        self.end = both  # type: ignore[method-assign]
        try:
            self.conclude(session, tx, expected, actual, "")
        finally:
            self.end = end  # type: ignore[method-assign]

    # Comparing

    def state(self, session: Session) -> Any:
        row = session.send(STATE).result(PATIENCE)
        if isinstance(row, psycopg.Error):
            raise Mismatch(f"looking: {row.sqlstate} {row}")
        return tuple({} if v is ABSENT else v for v in row[0])

    def compare(self, session: Session, tx: Tx | None) -> None:
        """Compare the tables as a transaction, or everybody, sees them."""
        world = self.world
        keys = {**world.committed, **(tx.writes if tx else {})}

        def view(key: Any) -> Any:
            return world.view(tx, key) if tx else world.committed.get(key)

        steps, events = self.state(session)
        for kind in ("step", "event"):
            expected = {k[1] for k in keys if k[0] == kind and view(k) is not None}
            actual = set(steps if kind == "step" else events)
            if expected != actual:
                raise Mismatch(f"{kind}s {sorted(actual)}, not {sorted(expected)}")
        for s, actual in steps.items():
            compare_step(view(("step", s)), actual, s[-2:])
            compare_history(
                view(("step", s)),
                view(("trail", s)) or (),
                actual["history"],
                s[-2:],
                bool(world.settings["archive_history"]),
            )
        for s, actual in events.items():
            event = view(("event", s))
            compare_event(event, actual, s[-2:])
            known = self.ids.setdefault(s, [])
            if event.id is not None and ident(event.id) not in known:
                known.append(ident(event.id))
                variable = f"e{sum(map(len, self.ids.values()))}"
                self.note(
                    session,
                    f"SELECT event_id AS {variable} FROM {F}events "
                    f"WHERE step_uuid = {quote(s)} \\gset",
                )
                self.variables[quote(ident(event.id))] = f":'{variable}'"

    def note(self, session: Session, sql: str) -> None:
        """Add a line to what a human can run."""
        for literal, variable in self.variables.items():
            if len(literal) > 20:
                sql = sql.replace(literal, variable)
        self.script.append((session.name, sql))

    def close(self) -> None:
        """Leave the sessions as they were found."""
        for session in self.server.sessions.values():
            session.reset()


class SkipRun(Exception):
    """The rest of the sequence can't be told."""


class Server:
    """A database of our own on a running server, with some sessions."""

    def __init__(self, names: str = "ABC", database: str = "model") -> None:
        with psycopg.connect("dbname=postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database}")
            connection.execute(f"CREATE DATABASE {database}")
        conninfo = (
            f"dbname={database} options='-c deadlock_timeout=1h -c client_min_messages=warning'"
        )
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(SCHEMA)
        self.observer = Session("observer", conninfo)
        self.notifications: list[str] = []
        self.observer.connection.add_notify_handler(lambda n: self.notifications.append(n.payload))
        self.observer.connection.execute("LISTEN tasker_checkpoint")
        self.sessions = {name: Session(name, conninfo) for name in names}
        self.sizes: dict[str, int] = {}
        self.replayed = self.has(f"SELECT replayed FROM {F}save(NULL, NULL, NULL)")
        self.interrupted = self.has(f"SELECT {F}release(NULL, interrupted => true)")

    def has(self, sql: str) -> bool:
        result = self.observer.execute(sql)
        return not (isinstance(result, psycopg.Error) and result.sqlstate in ("42703", "42883"))

    def size(self, value: Any) -> int:
        """What a value takes as a jsonb of its own: core's word."""
        text = dump(value)
        if text not in self.sizes:
            if len(self.sizes) > 100000:
                self.sizes.clear()
            rows = self.observer.execute(f"SELECT pg_column_size({quote(text)}::jsonb)")
            self.sizes[text] = rows[0][0]
        return self.sizes[text]
