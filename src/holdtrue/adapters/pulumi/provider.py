"""One process for all dynamic providers of a run.

The engine starts a new dynamic provider for each phase (measured with CLI 3.259: three times in one refreshed
preview), and each start imports pulumi and the cloud's SDK again. Here it is forked once from the child, which has
already imported pulumi, and the engine attaches to it by PULUMI_DEBUG_PROVIDERS (provider_plugin.go,
GetProviderAttachPort). The stock servicer lacks the Attach call, and keeps provider objects of an older configuration;
these two gaps are all that this module fills. The code that serves resources is pulumi.dynamic's own.
"""

import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2_grpc

from holdtrue.adapters.pulumi.program import enter_program

PACKAGE = "pulumi-python"


@contextmanager
def dynamic_provider(program: Path, project: str) -> Iterator[int]:
    """Fork the provider and yield its port. Call it before this process starts a thread or a gRPC server."""
    read_port, write_port = os.pipe()
    read_life, write_life = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write_life)
        _serve(program, project, write_port, read_life)
    os.close(write_port)
    os.close(read_life)
    try:
        with os.fdopen(read_port) as port:
            yield int(port.readline())
    finally:
        os.close(write_life)
        os.waitpid(pid, 0)


def _serve(program: Path, project: str, port: int, life: int) -> None:
    """Serve until the child closes its end of `life`, or ends; never returns."""
    # Only the engine reacts to an interrupt: it lets started operations finish, and needs the provider for that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        threading.Thread(target=_exit_with_parent, args=(life,), daemon=True).start()
        os.environ["PULUMI_PROJECT"] = project
        announcement: Any = Announcement(port)
        sys.stdout = announcement
        enter_program(program)
        add = provider_pb2_grpc.add_ResourceProviderServicer_to_server

        def add_attachable(servicer: Any, server: Any) -> None:
            attachable: Any = AttachableProvider(servicer)
            add(attachable, server)

        provider_pb2_grpc.add_ResourceProviderServicer_to_server = add_attachable
        runpy.run_module("pulumi.dynamic", run_name="__main__")
    finally:
        sys.stderr.flush()
        os._exit(1)


class Announcement:
    """A standard output whose binary buffer, to which pulumi.dynamic writes its port, is a pipe to the child.

    What providers print goes to standard error, because the child reads only the port from the pipe.
    """

    def __init__(self, port: int) -> None:
        self.buffer = os.fdopen(port, "wb", buffering=0)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def _exit_with_parent(life: int) -> None:
    os.read(life, 1)
    os._exit(0)


class AttachableProvider:
    """The stock servicer, plus what attaching needs."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._servicer, name)

    def Attach(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Agree to serve this engine."""
        return Empty()

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Take the configuration, as a separate provider process would at its start."""
        response = self._servicer.Configure(request, context)
        os.environ["PULUMI_CONFIG"] = json.dumps(self._servicer._config)  # noqa: SLF001 - the servicer's only record
        # Cached provider objects have the configuration that this call replaces.
        type(self._servicer).Configure.__globals__["_PROVIDER_CACHE"].clear()
        return response
