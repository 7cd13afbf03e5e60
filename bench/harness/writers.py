"""Those who write a checkpoint, each in a session of its own."""

from typing import Any

from .server import Server, Session

RESULTS = '{"running_total": 5050}'
DOCUMENTS = 200
# as many digits from the first to the last
FIRST = 1_000_000


class Writer:
    """Writes one step again and again; items and cursor count up."""

    name = ""
    statement = ""

    def __init__(
        self, server: Server, database: str, step: str, **settings: Any
    ) -> None:
        self.session: Session = server.session(database, **settings)
        self.step = step
        self.n = FIRST
        self.session.prepare("write", self.statement)

    def write(self) -> None:
        """Write the next checkpoint."""
        self.n += 1
        self.session.run("write", self.step, str(self.n), str(self.n), RESULTS)

    def close(self) -> None:
        """End the session."""
        self.session.connection.close()


class Save(Writer):
    """An unfenced save."""

    name = "save"
    statement = "SELECT * FROM tasker_checkpoint_save($1, $2, $3, $4)"


class ArchivingSave(Save):
    """An unfenced save that archives what it cuts."""

    name = "archiving save"

    def __init__(
        self, server: Server, database: str, step: str, **settings: Any
    ) -> None:
        settings["tasker_checkpoint__archive_history"] = "on"
        super().__init__(server, database, step, **settings)


class Plain(Writer):
    """The plain UPDATE: the documents that a save made, one after the other."""

    name = "plain UPDATE"
    statement = (
        "UPDATE plain.workflow_steps"
        " SET checkpoint = (SELECT doc FROM docs WHERE n = $2),"
        " updated_at = now() WHERE workflow_step_uuid = $1"
    )

    def write(self) -> None:
        """Store the next document."""
        self.session.run("write", self.step, str(self.n % DOCUMENTS))
        self.n += 1


class Least(Writer):
    """The least that any system could store, under a lease of its own."""

    name = "least UPDATE"
    statement = (
        "UPDATE plain.workflow_steps"
        " SET checkpoint = jsonb_build_object('cursor', $2::jsonb,"
        " 'items_processed', $3::bigint, 'accumulated_results', $4::jsonb,"
        " 'timestamp', clock_timestamp()), updated_at = now()"
        " WHERE workflow_step_uuid = $1 AND in_process"
    )

    def __init__(
        self, server: Server, database: str, step: str, **settings: Any
    ) -> None:
        super().__init__(server, database, step, **settings)
        self.session.sql(
            "UPDATE plain.workflow_steps SET in_process = true"
            " WHERE workflow_step_uuid = %s",
            step,
        )


class Unfenced(Writer):
    """A yield without an event."""

    name = "unfenced yield"
    statement = "SELECT * FROM tasker_checkpoint_yield($1, $2, $3, $4)"


class _Fenced(Writer):
    def __init__(
        self, server: Server, database: str, step: str, **settings: Any
    ) -> None:
        super().__init__(server, database, step, **settings)
        self.session.sql("SELECT tasker_checkpoint_dispatch(%s)", step)
        self.event = str(
            self.session.value(
                "SELECT event_id FROM tasker_checkpoint_claim("
                "'bench', '1 hour', 1, %s)",
                step,
            )
        )


class FencedSave(_Fenced):
    """A save under a claim."""

    name = "fenced save"
    statement = "SELECT * FROM tasker_checkpoint_save($1, $2, $3, $4, $5)"

    def write(self) -> None:
        """Write the next checkpoint under the same claim."""
        self.n += 1
        self.session.run(
            "write", self.step, str(self.n), str(self.n), RESULTS, self.event
        )


class ArchivingFencedSave(FencedSave):
    """A save under a claim that archives what it cuts."""

    name = "archiving fenced save"

    def __init__(
        self, server: Server, database: str, step: str, **settings: Any
    ) -> None:
        settings["tasker_checkpoint__archive_history"] = "on"
        super().__init__(server, database, step, **settings)


class Yield(_Fenced):
    """A yield with the event of the yield before."""

    name = "yield"
    statement = "SELECT * FROM tasker_checkpoint_yield($1, $2, $3, $4, $5)"

    def write(self) -> None:
        """Write the next checkpoint with the last receipt's event."""
        self.n += 1
        receipt = self.session.run(
            "write", self.step, str(self.n), str(self.n), RESULTS, self.event
        )
        self.event = receipt[1]


class TaskerSql(Writer):
    """Tasker's own way: the history is read, extended and sent back."""

    name = "plain SQL"
    statement = """
        UPDATE plain.workflow_steps SET
            checkpoint = jsonb_set(
                jsonb_build_object('cursor', $2::jsonb,
                    'items_processed', $3::bigint, 'timestamp', now(),
                    'accumulated_results', $4::jsonb, 'history', '[]'::jsonb),
                '{history}',
                coalesce((SELECT checkpoint -> 'history'
                          FROM plain.workflow_steps
                          WHERE workflow_step_uuid = $1), '[]')
                || jsonb_build_array(jsonb_build_object(
                    'cursor', $2::jsonb, 'timestamp', now()))),
            updated_at = now()
        WHERE workflow_step_uuid = $1"""


def fill_documents(save: Writer, plain: Writer) -> float:
    """Keep the documents of the next saves for the plain UPDATE.

    As fresh values: a copied datum would stay compressed. Returns the bytes of
    WAL that each of the saves took.
    """
    session = save.session
    position = "SELECT pg_current_wal_insert_lsn()"
    total = 0.0
    session.sql("TRUNCATE docs")
    for n in range(DOCUMENTS):
        before = session.value(position)
        save.write()
        total += float(session.value(f"{position} - %s::pg_lsn", before))
        session.sql(
            "INSERT INTO docs SELECT %s, (checkpoint::text)::jsonb"
            " FROM tasker.workflow_steps WHERE workflow_step_uuid = %s",
            n,
            save.step,
        )
    session.sql("VACUUM ANALYZE docs")
    plain.n = 0
    return total / DOCUMENTS
