"""A database of its own for a situation, and the workers in it."""

from pathlib import Path
from typing import Any

from .instance import ROOT, WORKERS, Instance
from .programs import Language, Program
from .proxy import Proxy
from .report import expect, wait_until
from .scenarios import applied_problems, history_problems
from .steps import Step, Steps

SHORT_LEASE = 1.0
LONG_LEASE = 30.0
# of a worker that only polls and has the long lease
LONG_POLL = 5.0

# what a worker's role may do beside what examples/grants.sql gives it
RIGHTS = """
GRANT ALL ON ALL TABLES IN SCHEMA tasker TO {0};
GRANT ALL ON applied, accepted TO {0};
ALTER ROLE {0} LOGIN
"""


class Scene:
    """Where a situation is played.

    expected    errors that workers get beside TC002 and TC003, as a regular
                expression
    """

    def __init__(
        self, instance: Instance, language: Language, name: str
    ) -> None:
        self._instance = instance
        self._name = f"{name}_{language.name}"
        self._programs: list[Program] = []
        self._proxies: list[Proxy] = []
        self.language = language
        self.conninfo = instance.create_database(self._name)
        self.steps = Steps(self.conninfo)
        self.expected = "TC00[23]"

    def pooled(self) -> str:
        """Return the connection string through the pooler."""
        return self._instance.pooled(self._name)

    def proxied(
        self, function: str = "", hides_it: bool = False
    ) -> tuple[str, Proxy]:
        """Return a connection string, and the proxy through which it leads."""
        conninfo, proxy = self._instance.proxied(
            self._name, function, hides_it
        )
        self._proxies.append(proxy)
        return conninfo, proxy

    def proxied_later(self) -> str:
        """Return the connection string of the proxy that is to come."""
        return self._instance.behind_proxy(self._name)

    def elsewhere(self, database: str) -> str:
        """Return the connection string of another database."""
        return self._instance.conninfo(database)

    def no_superuser(self) -> tuple[str, str]:
        """Return a role with a worker's rights, and how it connects."""
        role = f"worker_{self._name}"
        self._instance.run(
            "psql", "-X", "-q", "-h", str(self._instance.directory),
            "-U", "postgres", "-d", self._name, "-v", f"worker={role}",
            "-f", str(ROOT / "examples/grants.sql"),
        )  # fmt: skip
        self.steps.connection.execute(RIGHTS.format(role))
        return role, self.conninfo.replace("user=postgres", f"user={role}")

    def set(self, setting: str, value: str | int) -> None:
        """Change a setting, for the workers that are still to come."""
        self.steps.connection.execute(
            f'ALTER DATABASE "{self._name}" SET {setting} = {value}'
        )

    def record_deliveries(self) -> None:
        """Have each claim and each release recorded from now on."""
        self.run_file(WORKERS / "harness/deliveries.sql")

    def run_file(self, file: Path) -> None:
        """Run a script."""
        self.steps.connection.execute(file.read_bytes())

    def worker(
        self,
        name: str,
        lease: float,
        *,
        conninfo: str | None = None,
        **how: Any,
    ) -> Program:
        """Start a worker."""
        program = Program(
            self.language,
            conninfo or self.conninfo,
            name,
            self._instance.directory / f"{self._name}_{name}.log",
            lease=lease,
            **how,
        )
        self._programs.append(program)
        return program

    def backends(self, worker: Program) -> list[dict[str, Any]]:
        """Return the connections of a worker, as the server sees them."""
        return self.steps.connection.execute(
            "SELECT pid, state, query, wait_event_type"
            " FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = %s",
            [worker.name],
        ).fetchall()

    def connections_made(self, worker: Program) -> int:
        """Count the connections of a worker, those that are closed too."""
        made = f" database={self._name} application_name={worker.name}"
        return sum(
            line.endswith(made) and "connection authorized" in line
            for line in self.log_of_server().splitlines()
        )

    def waits(self, worker: Program) -> bool:
        """Tell whether it is asleep in the server, and has nothing else."""
        return [
            (row["state"], row["wait_event_type"], row["query"][:4].upper())
            for row in self.backends(worker)
        ] == [("active", "Extension", "CALL")]

    def await_waiting(self, worker: Program) -> None:
        """Wait until it is asleep in the server, on its only connection."""
        wait_until(
            lambda: self.waits(worker),
            f"{worker.name} waits on its only connection",
        )

    def is_free(self, step: Step) -> bool:
        """Tell whether nobody has the step, and everybody may have it now."""
        free: bool = self.steps.value(
            "SELECT worker IS NULL AND available_at <= clock_timestamp()"
            " FROM tasker_checkpoint_events WHERE step_uuid = %s",
            step.uuid,
        )
        return free

    def expect_complete(self, step: Step, retries: int = 0) -> None:
        """Failed unless the step ran through as if nothing had happened.

        retries     failures that were its own, and were to be expected
        """
        self.steps.await_done(step)
        row = self.steps.look(step)
        expect(row["in_process"], False, "in_process")
        expect(row["attempts"], retries + 1, "attempts")
        states = ["waiting_for_retry"] * retries + ["complete"]
        expect(row["states"], states, "states")
        expect(row["dispatched"], False, "dispatched")
        expect(row["results"], step.results, "results")
        problems = history_problems(row, step.checkpoints)
        problems += applied_problems(row, step, step.start, "complete")
        expect(problems, [], "problems")

    def log_of_server(self) -> str:
        """Return what the server has logged of the scene's database."""
        return "\n".join(
            line
            for line in self._instance.log().splitlines()
            if f" {self._name} " in line
        )

    def errors(self) -> list[str]:
        """Return the errors that workers got and should not have."""
        return self._instance.errors(self._name, self.expected)

    def close(self) -> None:
        """End the workers that still run."""
        for program in self._programs:
            program.kill()
        for proxy in self._proxies:
            proxy.close()
        self.steps.connection.close()
