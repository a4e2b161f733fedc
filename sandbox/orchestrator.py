"""A Prefect server with its own home, a process work pool, and workers on request.

Everything goes through the REST API: importing Prefect into the owner would freeze its settings before the owner has
pointed them here, and a call of its command line costs three seconds of CPU time.
"""

import base64
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sandbox.daemon import Daemon, answers_ok
from sandbox.errors import SandboxError
from sandbox.prefect_database import keep_as_template, start_from_template
from sandbox.workplace import Workplace

POOL = "holdtrue"
# 14-19 s on two idle cores, of which 7.5 s are the database's migrations.
START_SECONDS = 120.0
WORKER_START_SECONDS = 60.0
WORKER_STOP_SECONDS = 10.0
WORKER_LIMIT = 2
BUSY_SECONDS = 20.0


class PrefectServer:
    """The server. Its clients need `environment()`.

    Attributes:
        home: `PREFECT_HOME` of the server and of its clients.
        api_url: `PREFECT_API_URL`.
        ui_url: The dashboard.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._port = workplace.free_port()
        self.home = workplace.directory / "prefect"
        self.home.mkdir()
        self.ui_url = f"http://127.0.0.1:{self._port}"
        self.api_url = f"{self.ui_url}/api"
        # The database encrypts block documents with it; by default the key would lie in the same database.
        self._encryption_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self._workers = 0
        database = self.home / "prefect.db"
        has_template = start_from_template(database)
        self._daemon = self._launch()
        if not has_template:
            keep_as_template(database)
        self._make_pool()

    def environment(self) -> dict[str, str]:
        """Return what a client, a worker or an in-process flow needs to use this server and tell nobody else."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def start_worker(self, *, env: Mapping[str, str], cwd: Path) -> "PrefectWorker":
        """Start a process worker of the pool and wait until the server has heard from it.

        Args:
            env: Added to the worker's environment, and so to its flow runs'.
            cwd: Where it works. A flow run without a pull step works in a temporary directory of its own.
        """
        self._workers += 1
        name = f"worker-{self._workers}"
        options = ["--pool", POOL, "--type", "process", "--limit", str(WORKER_LIMIT), "--name", name]
        daemon = self._workplace.launch(
            name,
            [sys.executable, "-m", "prefect", "worker", "start", *options],
            env=self.environment() | {"PREFECT_WORKER_QUERY_SECONDS": "2"} | dict(env),
            cwd=cwd,
        )
        daemon.wait_ready(lambda: name in self._online_workers(), WORKER_START_SECONDS)
        return PrefectWorker(daemon)

    def pause(self) -> None:
        """Make the server hang: connections are accepted and never answered."""
        self._daemon.pause()

    def resume(self) -> None:
        """Let a paused server answer again."""
        self._daemon.resume()

    def stop(self) -> None:
        """End the server: connections are refused; its database stays."""
        self._daemon.stop()

    def start(self) -> None:
        """Start a stopped server on its database; harmless when it runs."""
        if not self._daemon.is_running():
            self._daemon = self._launch()

    def _launch(self) -> Daemon:
        daemon = self._workplace.launch(
            "prefect",
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)],
            env=self.environment() | {"PREFECT_SERVER_ENCRYPTION_KEY": self._encryption_key},
        )
        daemon.wait_ready(lambda: answers_ok("127.0.0.1", self._port, "/api/health"), START_SECONDS)
        return daemon

    def _make_pool(self) -> None:
        template = self._request("/collections/views/aggregate-worker-metadata")["prefect"]["process"]
        job = template["default_base_job_configuration"]
        # The default command imports Prefect three times; the engine alone takes half of its CPU time.
        job["variables"]["properties"]["command"]["default"] = f"{sys.executable} -m prefect.engine"
        self._request("/work_pools/", {"name": POOL, "type": "process", "base_job_template": job})

    def _online_workers(self) -> frozenset[str]:
        recent = datetime.now(UTC) - timedelta(seconds=30)
        found = self._request(f"/work_pools/{POOL}/workers/filter", {})
        return frozenset(
            worker["name"] for worker in found if datetime.fromisoformat(worker["last_heartbeat_time"]) > recent
        )

    def _request(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api_url + path, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with _LOOPBACK.open(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                # 503 is a busy SQLite database; Prefect's own client asks again, too.
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    reason = f"{error.code} {error.reason}: {error.read().decode()[:500]}"
                    raise SandboxError(f"Prefect answered {path} with {reason}") from error
            time.sleep(0.5)


class PrefectWorker:
    """A running worker; a test may stop or kill it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    @property
    def pid(self) -> int:
        """The worker's process id, which leads its process group."""
        return self._daemon.pid

    def is_running(self) -> bool:
        """Tell whether the worker has not ended."""
        return self._daemon.is_running()

    def log_tail(self) -> str:
        """Return the last lines the worker and its flow runs wrote."""
        return self._daemon.log_tail()

    def stop(self) -> None:
        """Ask the worker to end, then kill its process group, flow runs included."""
        self._daemon.stop(grace_seconds=WORKER_STOP_SECONDS)


_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
