"""`python -m sandbox up`: start the services, print where they are, and stop them on Ctrl-C or SIGTERM."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from pydantic import ValidationError

from sandbox import HostKind, Sandbox, SandboxError, SandboxOptions, Service


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when stopped by a signal, 2 on bad input, 3 when a service could not start."""
    arguments = _parser().parse_args(argv)
    try:
        options = SandboxOptions(
            services=frozenset(Service) - frozenset(arguments.without),
            hosts=arguments.hosts,
            host_count=arguments.host_count,
            durable_vault=arguments.durable_vault,
        )
    except ValidationError as error:
        print("; ".join(problem["msg"] for problem in error.errors()), file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with Sandbox(options) as sandbox:
            if arguments.worker:
                sandbox.start_worker()
            print(json.dumps(describe(sandbox)) if arguments.json else _as_text(describe(sandbox)), flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


def describe(sandbox: Sandbox) -> dict[str, str]:
    """Return where each running service is; no secret."""
    chosen = sandbox.options.services
    places = {"directory": str(sandbox.directory), "marker": sandbox.marker, "state": sandbox.state_url}
    if Service.OPENBAO in chosen:
        places |= {"openbao": sandbox.openbao.address, "openbao CA": str(sandbox.openbao.ca_file)}
        places |= {"openbao role id": sandbox.openbao.role_id}
    if Service.AWS in chosen:
        places |= {"aws": sandbox.aws.endpoint_url}
    if Service.HOSTS in chosen:
        places |= {
            host.name: f"ssh -p {host.port} {host.user}@{host.address} (world {host.root})" for host in sandbox.hosts
        }
    if Service.LOAD_BALANCER in chosen:
        places |= {"load balancer": sandbox.load_balancer.url, "HAProxy socket": str(sandbox.load_balancer.socket_path)}
    if Service.OTLP in chosen:
        places |= {"otlp": sandbox.otlp.endpoint}
    if Service.OSV in chosen:
        places |= {"osv": sandbox.osv.url}
    if Service.POSTGRES in chosen:
        places |= {"postgres": f"127.0.0.1:{sandbox.postgres.port}"}
    if Service.PREFECT in chosen:
        places |= {"prefect": sandbox.prefect.ui_url}
    return places


def _as_text(places: dict[str, str]) -> str:
    width = max(map(len, places))
    return "\n".join(f"{name:<{width}}  {place}" for name, place in places.items()) + "\nCtrl-C stops everything."


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    up = parser.add_subparsers(required=True).add_parser("up", help="start the services and wait for Ctrl-C")
    up.add_argument(
        "--without",
        nargs="+",
        type=Service,
        choices=list(Service),
        default=[],
        metavar="SERVICE",
        help=f"leave services out: {', '.join(Service)}",
    )
    up.add_argument("--hosts", type=HostKind, choices=list(HostKind), default=HostKind.ROOTLESS)
    up.add_argument("--host-count", type=int, default=2)
    up.add_argument("--durable-vault", action="store_true", help="keep OpenBao's storage on disk, encrypted")
    up.add_argument("--worker", action="store_true", help="start a Prefect worker too")
    up.add_argument("--json", action="store_true", help="print the addresses as one line of JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
