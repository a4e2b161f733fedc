"""The prerequisites of a provision, checked one by one against the real endpoints, without side effects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from holdtrue.adapters.aws import caller_identity
from holdtrue.adapters.program_text import has_word
from holdtrue.adapters.tools import find_tool
from holdtrue.adapters.vault import VaultSession
from holdtrue.adapters.vault.failures import Call
from holdtrue.core.forms import refusal
from holdtrue.core.hosts import parse_hosts, placeholders
from holdtrue.core.template import fill_path, template_uses, unfilled
from holdtrue.core.traffic import plan_steps, require_in_service
from holdtrue.credentials.aws import VaultAwsCredentials
from holdtrue.credentials.logins import AppRoleAuth, UserpassAuth
from holdtrue.credentials.pulumi import PulumiBackend
from holdtrue.credentials.reference import CredentialReference
from holdtrue.credentials.sources import WrappedSource
from holdtrue.credentials.ssh import VaultSshCertificates
from holdtrue.credentials.vault import VaultCredentials, VaultSecret
from holdtrue.errors import AccessDenied, HoldtrueError, RejectedError, ResourceMissing
from holdtrue.models.credentials import HostAccess
from holdtrue.models.environment import Environment, Traffic
from holdtrue.models.host import Host
from holdtrue.models.preflight import Prerequisite, PrerequisiteOutcome
from holdtrue.models.stack import StackOutputs
from holdtrue.models.validation import CheckOutcome
from holdtrue.settings import load_settings
from holdtrue.toolbox import ReferenceLoader, Toolbox

V = TypeVar("V")

_TOOLS: Final = ("pulumi", "ansible-playbook", "ssh", "ssh-agent")


@dataclass(slots=True)
class _Chain:
    """The links asked so far."""

    links: list[Prerequisite] = field(default_factory=list)

    def ask(self, name: str, question: Callable[[], V], describe: Callable[[V], str] = str) -> V | None:
        """Record whether the question has an answer, and return the answer."""
        try:
            answer = question()
        except HoldtrueError as error:
            detail = f"{error.what} ({error.where})" if error.where else error.what
            self.note(name, PrerequisiteOutcome.BROKEN, detail, error.next_step)
            return None
        self.note(name, PrerequisiteOutcome.OK, describe(answer))
        return answer

    def skip(self, name: str, reason: str) -> None:
        """Record that a link was not asked, because of what is broken before it."""
        self.note(name, PrerequisiteOutcome.NOT_APPLICABLE, f"not asked: {reason}")

    def note(self, name: str, outcome: PrerequisiteOutcome, detail: str, next_step: str = "") -> None:
        """Record a link as it is."""
        self.links.append(Prerequisite(name=name, outcome=outcome, detail=detail, next_step=next_step))


def ask_chain(
    environment: Environment, load: ReferenceLoader, tools: Toolbox, *, keeps_login: bool
) -> tuple[Prerequisite, ...]:
    """Tools, references, Vault and its policy, the cloud identity, the stack, templates, playbook, hosts, traffic.

    A broken link prevents only the checks that depend on it.

    Args:
        environment: What is to be provisioned.
        load: Gives the references.
        tools: The adapters.
        keeps_login: Whether a run follows that goes on with this login; a wrapping token is not opened for less.
    """
    chain = _Chain()
    found = {tool: chain.ask(f"tool {tool}", partial(find_tool, tool)) for tool in _TOOLS}
    chain.ask("program packages", partial(_ask_packages, environment, tools))
    if reason := environment.infrastructure.without_tests:
        chain.note("program tests", PrerequisiteOutcome.NOT_APPLICABLE, f"there are none: {reason}")
    names = environment.credentials
    vault = chain.ask("block vault", lambda: load(VaultCredentials, names.vault), lambda block: block.address)
    aws = chain.ask("block aws", lambda: load(VaultAwsCredentials, names.aws), lambda block: block.region)
    ssh = chain.ask("block ssh", lambda: load(VaultSshCertificates, names.ssh), lambda block: block.role)
    backend = chain.ask("block pulumi", lambda: load(PulumiBackend, names.pulumi), lambda block: block.url)
    secrets = _load_secrets(chain, environment, load)
    own = [secret for secret in secrets.values() if vault is not None and secret.vault.is_same_login(vault)]
    given = [reference for reference in (aws, ssh, backend, *own) if reference is not None]
    usable = [] if vault is None else _ask_vault(chain, environment, vault, given, keeps_login=keeps_login)
    for block, secret in secrets.items():
        if secret in usable or (secret not in own and (keeps_login or not _opens_once(secret.vault))):
            chain.ask(f"secret {block}", partial(_readable, secret))
        else:
            chain.skip(f"secret {block}", "the login cannot be used")
    identity = None
    if aws is not None and aws in usable:
        identity = chain.ask("AWS identity", lambda: _identity(aws))
    else:
        chain.skip("AWS identity", "Vault gives no keys")
    outputs = None
    if identity is None or backend not in usable:
        chain.skip("stack and hosts", "the cloud or the backend of the state cannot be used")
    else:
        outputs = _ask_stack(chain, environment, tools)
    _ask_templates(chain, environment, outputs)
    if found["ansible-playbook"] is None:
        chain.skip("playbook", "ansible-playbook is not installed")
    else:
        # Also before there is a stack.
        chain.links += tools.configuration_prerequisites(environment, _known_hosts(environment, outputs))
    if outputs is not None:
        _ask_fleet(chain, environment, outputs, tools, signs=ssh in usable)
    return tuple(chain.links)


def _ask_packages(environment: Environment, tools: Toolbox) -> str:
    packages = tools.program_packages(environment)
    if packages.named_in is not None:
        find_tool("uv")
    return str(packages)


def _ask_vault(
    chain: _Chain,
    environment: Environment,
    vault: VaultCredentials,
    references: Sequence[CredentialReference],
    *,
    keeps_login: bool,
) -> Sequence[CredentialReference]:
    """The references for which the login has all that they need."""

    def login() -> VaultSession:
        if not keeps_login and _opens_once(vault):
            raise RejectedError(
                "the login's secret is in a wrapping token, which opens only once: this check would use it up",
                next_step="run `provision`: its preflight makes the same checks, and keeps the login",
            )
        return vault.connect().session()

    wanted = {
        path: capability for reference in (vault, *references) for path, capability in reference.capabilities().items()
    }
    session = chain.ask("Vault login", login, lambda found: f"token lives {found.ttl_seconds} s")
    if session is None:
        return []
    found = chain.ask("Vault policy", lambda: session.capabilities(wanted), lambda paths: f"{len(paths)} paths asked")
    if found is None:
        return references
    lacking = [
        path
        for path, capability in wanted.items()
        if chain.ask(f"Vault policy {path}", partial(_may, found, path, capability)) is None
    ]
    if not vault.capabilities().keys() & set(lacking):
        longest_seconds = environment.infrastructure.timeout_seconds
        chain.ask("Vault token lifetime", lambda: _outlives(vault.connect().session(), longest_seconds))
    return [reference for reference in references if not reference.capabilities().keys() & set(lacking)]


def _load_secrets(chain: _Chain, environment: Environment, load: ReferenceLoader) -> dict[str, VaultSecret]:
    """The blocks of the playbook's secrets, each asked once."""
    blocks = dict.fromkeys(environment.configuration.secrets.values())
    asked = {
        block: chain.ask(f"block secret {block}", partial(load, VaultSecret, block), lambda secret: secret.path)
        for block in blocks
    }
    return {block: secret for block, secret in asked.items() if secret is not None}


def _readable(secret: VaultSecret) -> str:
    """Whether the secret has a value. The answer shows nothing of it, but says if it is not redacted in logs."""
    why_not = refusal(secret.get().get_secret_value())
    return "can be read" if why_not is None else f"can be read, but is not redacted where it shows up: {why_not}"


def _opens_once(vault: VaultCredentials) -> bool:
    match vault.auth:
        case AppRoleAuth(secret_id=WrappedSource()) | UserpassAuth(password=WrappedSource()):
            return True
        case _:
            return False


def _outlives(session: VaultSession, longest_seconds: int) -> str:
    """Whether a token lives as long as an engine operation may take: the engine keeps the one that it started with.

    No answer of Vault has the maximum of the login's role: a renewal for longer meets it. The second renewal gives the
    token back the end that it would have without the question.
    """
    lives_seconds = session.ttl_seconds
    if not session.lifetime_seconds or _is_periodic(session):
        return "without end"
    if session.grant.owned and session.grant.renewable and session.lifetime_seconds < longest_seconds:
        age_seconds = session.lifetime_seconds - lives_seconds
        lives_seconds = session.renew(longest_seconds) + age_seconds
        session.renew(session.lifetime_seconds)
    elif session.grant.owned:
        lives_seconds = session.lifetime_seconds
    if lives_seconds < longest_seconds:
        raise RejectedError(
            f"a token ends after about {lives_seconds} s, and an engine operation may take {longest_seconds} s",
            where="infrastructure.timeout_seconds",
            next_step="raise token_max_ttl of the role, and max_lease_ttl of its mount where that is less, or lower the"
            " timeout",
        )
    return f"{longest_seconds} s for an engine operation are granted"


def _is_periodic(session: VaultSession) -> bool:
    """Whether renewals keep the token alive for ever (`token_period` of the role)."""
    told = session.read(Call("look at the own token", "auth/token/lookup-self", "read")).get("data")
    return isinstance(told, dict) and bool(told.get("period"))


def _may(found: dict[str, frozenset[str]], path: str, capability: str) -> str:
    if found[path] & {capability, "root"}:
        return capability
    raise AccessDenied(
        f"the policy lacks {capability}; it has {', '.join(sorted(found[path]))}",
        next_step=f'add to the policy: path "{path}" {{ capabilities = ["{capability}"] }}',
    )


def _identity(aws: VaultAwsCredentials) -> str:
    return caller_identity(aws.environment(), timeout_seconds=load_settings().connect_timeout_seconds)


def _ask_stack(chain: _Chain, environment: Environment, tools: Toolbox) -> StackOutputs | None:
    """The outputs of a stack that has hosts."""
    try:
        with tools.stack_engine(environment) as engine:
            outputs = engine.outputs()
    except ResourceMissing as missing:
        chain.note("stack", PrerequisiteOutcome.NOT_APPLICABLE, f"{missing.what}: the first apply creates it")
        return None
    except HoldtrueError as error:
        chain.note("stack", PrerequisiteOutcome.BROKEN, f"{error.what} ({error.where})", error.next_step)
        return None
    if environment.infrastructure.hosts_output not in outputs.values:
        chain.note("stack", PrerequisiteOutcome.NOT_APPLICABLE, "has no hosts yet: the next apply creates them")
        return None
    chain.note("stack", PrerequisiteOutcome.OK, f"{len(outputs.values)} outputs")
    return outputs


def _ask_templates(chain: _Chain, environment: Environment, outputs: StackOutputs | None) -> None:
    """Whether every placeholder of the manifest has a value, or may get one from the apply to come."""
    hosts = _known_hosts(environment, outputs)
    project = load_settings().fleet.expanduser() / environment.infrastructure.project
    uses = template_uses(environment)
    found = unfilled(uses, outputs, hosts, is_in_program=partial(has_word, project))
    for item in found:
        outcome = PrerequisiteOutcome.NOT_APPLICABLE if item.may_come else PrerequisiteOutcome.BROKEN
        chain.note(f"template {item.field}", outcome, item.reason, item.next_step)
    if not found:
        chain.note("templates", PrerequisiteOutcome.OK, f"{len(uses)} can be filled")


def _known_hosts(environment: Environment, outputs: StackOutputs | None) -> tuple[Host, ...]:
    """The stack's hosts; none before its first apply, or when the output is wrong, which the link `hosts` reports."""
    try:
        return () if outputs is None else parse_hosts(outputs, environment.infrastructure.hosts_output)
    except RejectedError:
        return ()


def _ask_fleet(chain: _Chain, environment: Environment, outputs: StackOutputs, tools: Toolbox, *, signs: bool) -> None:
    try:
        hosts = parse_hosts(outputs, environment.infrastructure.hosts_output)
    except RejectedError as error:
        # Not broken: only an apply can correct what the stack says of its hosts.
        detail = f"the stack's host list is refused: {error.what} ({error.where})"
        advice = "Unless this apply corrects the list, the run ends before it configures hosts"
        chain.note("hosts", PrerequisiteOutcome.DOUBTFUL, f"{detail}. {advice}", error.next_step)
        return
    if signs:
        chain.ask(
            "hosts", lambda: _ask_hosts(chain, environment, outputs, hosts, tools), lambda count: f"{count} asked"
        )
    else:
        chain.skip("hosts", "Vault signs no certificate")
    traffic = environment.traffic
    if traffic is None:
        return
    try:
        socket = fill_path(traffic.socket, placeholders(outputs), where="traffic.socket")
    except RejectedError:
        chain.skip("load balancer", "traffic.socket cannot be filled")
    else:
        names = [host.name for host in hosts]
        chain.ask("load balancer", lambda: _weights(traffic, socket, names, tools))


def _ask_hosts(
    chain: _Chain, environment: Environment, outputs: StackOutputs, hosts: Sequence[Host], tools: Toolbox
) -> int:
    with tools.host_access(environment, hosts) as ssh:
        results = tools.reach(HostAccess(hosts=tuple(hosts), outputs=outputs, ssh=ssh))
    for result in results:
        reached = result.outcome is CheckOutcome.PASSED
        outcome = PrerequisiteOutcome.OK if reached else PrerequisiteOutcome.BROKEN
        advice = "" if reached else "start the host again, or remove it from the stack's outputs"
        chain.note(f"host {result.target}", outcome, result.detail or result.outcome, advice)
    return len(results)


def _weights(traffic: Traffic, socket: str, names: Sequence[str], tools: Toolbox) -> str:
    switch = tools.traffic_switch(traffic, socket)
    weights = switch.weights()
    switch.require_adjustable()
    place = f"{socket} backend {traffic.backend}"
    plan_steps(weights, names, traffic.steps, where=place)
    # A server that is down or without an address may come into service with this run.
    stopped = {name: reason for name, reason in switch.out_of_service().items() if reason.by_operator}
    require_in_service(stopped, names, where=place)
    return ", ".join(f"{name}={weight}" for name, weight in sorted(weights.items()))
