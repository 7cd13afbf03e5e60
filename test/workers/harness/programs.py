"""The worker programs: how they are built, started and ended."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from .instance import ROOT, WORKERS
from .logs import Line, lines
from .report import PATIENCE, Failed, Report, wait_until

CLIENTS = ROOT / "clients"

PYTHON = [sys.executable, str(WORKERS / "python/worker.py")]

# without a build.sh
COMMANDS = {
    "asyncio": [*PYTHON, "--asyncio"],
    "python": PYTHON,
    "ruby": ["ruby", str(WORKERS / "ruby/worker.rb")],
}

ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(CLIENTS / "python"),
    "PYTHONDONTWRITEBYTECODE": "1",
    "RUBYLIB": str(CLIENTS / "ruby/lib"),
}


# how a worker waits for work
WAITS = {"server": [], "listen": ["--listen"], "poll": ["--poll-only"]}


@dataclass(frozen=True)
class Language:
    """A language, or way to use it, and the command of its worker program."""

    name: str
    command: list[str]

    @property
    def is_its_own(self) -> bool:
        """Whether it is a language, and no way to use one."""
        return (WORKERS / self.name).is_dir()


def available() -> list[str]:
    """Return the languages that have a worker program."""
    built = {path.parent.name for path in WORKERS.glob("*/worker.*")}
    return sorted(built | COMMANDS.keys())


def prepare(name: str, directory: Path) -> Language:
    """Build a language's worker program, if it needs that."""
    script = WORKERS / name / "build.sh"
    if not script.exists():
        if name not in COMMANDS:
            raise RuntimeError(f"no worker program in {WORKERS / name}")
        return Language(name, COMMANDS[name])

    target = directory / f"build-{name}"
    target.mkdir()
    result = subprocess.run(
        ["sh", str(script), str(target)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )
    if result.returncode:
        raise RuntimeError(f"{script} failed: {result.stdout}")
    return Language(name, [str(target / "worker")])


_started: list[subprocess.Popen[bytes]] = []
_starting = threading.Lock()


def _end_all() -> None:
    """Kill all worker programs that still run, and let none start."""
    # not released: whoever wants to start one now is to wait for the end
    _starting.acquire()
    for process in _started:
        process.kill()
        process.wait()


def conduct(what: str, run: Callable[[Report], None]) -> int:
    """Run checks, so that nothing is left behind; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    try:
        run(report)
    except Exception:
        report.crashed(what)
    finally:
        _end_all()
    return report.close()


class Program:
    """A running worker program.

    Its name is that of its connections, too.
    """

    def __init__(
        self,
        language: Language,
        conninfo: str,
        name: str,
        log: Path,
        *,
        lease: float = 60.0,
        wait: str = "server",
        exit_when_idle: float | None = None,
        queues: Sequence[str] = (),
        concurrency: int = 1,
        retry_delay: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        command = [
            *language.command,
            "--dsn", f"{conninfo} application_name='{name}'",
            "--name", name,
            "--lease", f"{lease:g}",
            *WAITS[wait],
        ]  # fmt: skip
        if exit_when_idle is not None:
            command += ["--exit-when-idle", f"{exit_when_idle:g}"]
        if queues:
            command += ["--queues", ",".join(queues)]
        if concurrency > 1:
            command += ["--concurrency", str(concurrency)]
        if retry_delay is not None:
            command += ["--retry-delay", f"{retry_delay:g}"]
        with open(log, "ab") as stderr, _starting:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=ENVIRONMENT | dict(environment or {}),
            )
            _started.append(self._process)

    def freeze(self) -> None:
        """Stop it, as a long pause of its machine would; return when it is."""
        self._process.send_signal(signal.SIGSTOP)
        # left to be waited for, should it have ended
        how = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        os.waitid(os.P_PID, self._process.pid, how)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()

    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def await_end(self, seconds: float = PATIENCE) -> int:
        """Wait until it has ended by itself; return how."""
        wait_until(lambda: not self.running(), f"{self.name} ends", seconds)
        return self._process.returncode

    def await_exit(self, seconds: float = PATIENCE) -> None:
        """Wait until it has ended by itself, without an error."""
        if status := self.await_end(seconds):
            last = self.log.read_text(errors="replace").splitlines()[-3:]
            raise Failed(
                f"{self.name} ended with {status}: {' / '.join(last)}"
            )

    def interrupt(self) -> None:
        """SIGINT, as control and C."""
        self._process.send_signal(signal.SIGINT)

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def terminate(self, seconds: float = PATIENCE) -> None:
        """SIGTERM, and wait for a clean end."""
        self.ask_to_end()
        self.await_exit(seconds)

    def said(self, event: str, step: UUID | None = None) -> list[Line]:
        """Return what it has logged of an event, of a step or of all."""
        return [
            line
            for line in lines(self.log)
            if line.event == event
            and (step is None or line.fields.get("step") == str(step))
        ]
