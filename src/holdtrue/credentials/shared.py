"""One login to one Vault that all threads of a scope share: renewed in time, replaced when it is refused."""

import logging
import math
import threading
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from holdtrue.adapters.vault import (
    LeasedSecret,
    LeaseGone,
    Token,
    VaultAuth,
    VaultServer,
    VaultSession,
    batch_refused,
    login,
    login_path,
    unwrap,
)
from holdtrue.credentials.flight import SingleFlight
from holdtrue.credentials.holding import Custodian, Issued, obtain, requested
from holdtrue.credentials.logins import VaultLogin
from holdtrue.credentials.renewals import Renewals
from holdtrue.errors import AccessDenied, TransientError
from holdtrue.models.lease import Lease, LeaseKind, LeaseState
from holdtrue.runtime.redaction import register_secret

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)

SECRET_AGE_SECONDS: Final = 300.0
"""How long a secret that was read serves the scope; a rotated one is seen after this at the latest."""

PUBLIC_FIELDS: Final = frozenset({
    "access_key_id", "account", "address", "database", "dbname", "email", "endpoint", "host", "hostname", "login",
    "port", "region", "role", "user", "user_name", "username",
})  # fmt: skip
"""Fields that stand beside a secret and are none: redacted everywhere, a user's or host's name makes logs unreadable.
A field that a block is asked for is a secret whatever its name."""

_KV_V2: Final = 2

_CAPPED: Final = 0.9
"""More life than this part of what its role gives cannot be asked of a token."""

_USABLE: Final = 0.1
"""A token is replaced before use when less than this part of its lifetime is left."""


class SharedVault:
    """What a scope may ask of one Vault under one identity.

    Methods raise what `VaultSession` raises. A request that is refused while the token is dead is made once more with
    a new login; what is refused then is a matter of policy.
    """

    def __init__(self, server: VaultServer, identity: VaultLogin, custodian: Custodian) -> None:
        self.server: Final = server
        self._identity = identity
        self._custodian = custodian
        self._lock = threading.Lock()
        self._session: VaultSession | None = None
        self._logins: SingleFlight[int, VaultSession] = SingleFlight(math.inf)
        self._following = 0
        self._secrets: SingleFlight[tuple[str, str, int | None, int], Mapping[str, SecretStr]] = SingleFlight(
            SECRET_AGE_SECONDS
        )
        self._unwrapped: SingleFlight[SecretStr, SecretStr] = SingleFlight(math.inf)
        self.renewals: Final = Renewals()
        self._remembered: dict[Hashable, tuple[Any, int]] = {}
        self._remembering = threading.RLock()

    def session(self, minimum_seconds: float = 0.0) -> VaultSession:
        """The session at hand, or a new login; it lives `minimum_seconds` or as long as the role lets a token live."""
        return self._at_hand(minimum_seconds)[0]

    def call(self, request: Callable[[VaultSession], T]) -> T:
        """The answer to one request; after a new login if the token was refused because it is dead."""
        session, following = self._at_hand()
        try:
            return request(session)
        except AccessDenied:
            if session.is_alive():
                raise
            _LOGGER.warning("the Vault token was refused before its time; logging in once more")
            return request(self._log_in(following))

    def read_secret(
        self, mount: str, path: str, version: int | None = None, *, kv_version: int = 2
    ) -> Mapping[str, SecretStr]:
        """The fields of one KV secret, read once for all who ask within SECRET_AGE_SECONDS.

        All but those named in PUBLIC_FIELDS are registered as secrets.
        """

        def read() -> Mapping[str, SecretStr]:
            fields = self.call(lambda session: session.read_secret(mount, path, version, kv_version=kv_version))
            return MappingProxyType(fields)

        fields = self._secrets.get((mount, path, version, kv_version), read)
        for name, value in fields.items():
            if name.lower() not in PUBLIC_FIELDS:
                self.know(value, name=f"{mount}/{path}, field {name}")
        return fields

    def write_field(
        self, mount: str, path: str, field: str, value: SecretStr, *, cas: int | None, kv_version: int = 2
    ) -> int:
        """Write one field, keep the others, and return the new version; who reads it here afterwards sees it.

        Raises:
            RejectedError: another version than `cas`, or than the others were read from, is the newest.
        """

        def write(session: VaultSession) -> int:
            found = session.newest_version(mount, path, kv_version=kv_version)
            wanted = (found.version if cas is None else cas) if kv_version == _KV_V2 else None
            return session.write_secret(mount, path, {**found.fields, field: value}, cas=wanted, kv_version=kv_version)

        self.know(value, name=f"{mount}/{path}, field {field}")
        version = self.call(write)
        self._secrets.forget((mount, path, None, kv_version))
        return version

    def lease(
        self, path: str, request: Callable[[VaultSession], LeasedSecret], *, public: frozenset[str] = frozenset()
    ) -> LeasedSecret:
        """A secret made for this scope: in the ledger before it is used, renewed while it may be, revoked at the end.

        Args:
            path: API path that issues it.
            request: Asks for it.
            public: Names of fields that are no secrets, such as a user name.
        """

        def issue(session: VaultSession) -> LeasedSecret:
            issued, holding = obtain(
                self._custodian,
                self._requested(LeaseKind.SECRET, path),
                lambda: known_fields(request(session), public),
                lambda secret: Issued(secret.lease_id, secret.ttl_seconds),
                lambda secret: self._end_lease(session, secret.lease_id),
                ends_anyway=session.grant.owned,
            )
            self._custodian.keep(holding)
            renew = lambda seconds: session.renew_lease(issued.lease_id, seconds)  # noqa: E731 - one line of wiring
            self.renewals.add(holding, session, renew, issued.ttl_seconds, renewable=issued.renewable)
            return issued

        return self.call(issue)

    def obtain(
        self,
        kind: LeaseKind,
        path: str,
        request: Callable[[VaultSession], T],
        describe: Callable[[T], Issued],
        end: Callable[[VaultSession, T], None] | None = None,
    ) -> T:
        """Something else that lives for a while, such as a certificate; `end` None: nobody can revoke it.

        It outlives the token that it was asked with, so `end` gets the session at hand when the scope ends.
        """

        def issue(session: VaultSession) -> T:
            value, holding = obtain(
                self._custodian,
                self._requested(kind, path),
                lambda: request(session),
                describe,
                None if end is None else lambda issued: self._revoke(lambda at_hand: end(at_hand, issued), session),
            )
            self._custodian.keep(holding)
            return value

        return self.call(issue)

    def know(self, value: SecretStr, *, name: str) -> None:
        """Register a secret for the run that gets it, and for the scope, which may serve it to others."""
        register_secret(value, name=name, keeper=self._custodian.secrets)

    def remember(
        self,
        key: Hashable,
        usable: Callable[[T], bool],
        fetch: Callable[[], T],
        *,
        serves_still: Callable[[T], bool] = lambda _: False,
    ) -> T:
        """What was fetched under this key, as long as it is usable and its login was not replaced.

        Only one caller at a time fetches again. If a service that is needed for that does not answer, the old value is
        used as long as `serves_still` accepts it.
        """
        with self._remembering:
            kept, login_number = self._remembered.get(key, (None, self._following))
            if login_number != self._following:
                kept = None
            if kept is None or not usable(kept):
                try:
                    kept = fetch()
                except TransientError as error:
                    if kept is None or not serves_still(kept):
                        raise
                    _LOGGER.warning(
                        "could not replace credentials; the current ones are used until they expire: %s", error
                    )
                else:
                    self._remembered[key] = (kept, self._following)
            value: T = kept
            return value

    def _at_hand(self, minimum_seconds: float = 0.0) -> tuple[VaultSession, int]:
        """A session that can be used, and the number of the login that would replace it."""
        with self._lock:
            session, following = self._session, self._following
        if session is None or not _is_usable(session, minimum_seconds):
            return self._log_in(following), following + 1
        return self._known(session), following

    def _known(self, session: VaultSession) -> VaultSession:
        self.know(session.token, name=f"the Vault token with accessor {session.accessor}")
        return session

    def _log_in(self, number: int) -> VaultSession:
        return self._known(self._logins.get(number, lambda: self._new_login(number)))

    def _new_login(self, number: int) -> VaultSession:
        # The worker holds the credentials of the login as long as it may have to log in again.
        with self._custodian.secrets.collecting():
            credential = self._identity.credential(self._unwrap)
        session = login(self.server, credential) if isinstance(credential, Token) else self._own_login(credential)
        with self._lock:
            self._session, self._following = session, number + 1
        return session

    def _own_login(self, credential: VaultAuth) -> VaultSession:
        session, holding = obtain(
            self._custodian,
            self._requested(LeaseKind.TOKEN, login_path(credential)),
            lambda: self._known(login(self.server, credential)),
            lambda granted: Issued(granted.accessor, granted.ttl_seconds),
            _end_token,
        )
        if session.grant.is_batch:
            # It lives, and nobody can end it: it stays in the ledger with its expiry, and nothing is done with it.
            session.close()
            raise batch_refused(session)
        self._custodian.keep(holding)
        if session.lifetime_seconds:
            renewable = session.grant.renewable
            self.renewals.add(holding, session, session.renew, session.lifetime_seconds, renewable=renewable)
        return session

    def _unwrap(self, token: SecretStr) -> SecretStr:
        return self._unwrapped.get(token, lambda: unwrap(self.server, token))

    def _requested(self, kind: LeaseKind, path: str) -> Lease:
        return requested(
            self._custodian.holder, kind, server=self.server.address, namespace=self.server.namespace, path=path
        )

    def _revoke(self, request: Callable[[VaultSession], None], issuer: VaultSession) -> LeaseState:
        """Have it revoked by the session at hand; by the one that asked for it when there is no other."""
        with self._lock:
            at_hand = self._session or issuer
        request(at_hand)
        return LeaseState.REVOKED

    def _end_lease(self, issuer: VaultSession, lease_id: str) -> LeaseState:
        try:
            return self._revoke(lambda session: session.revoke_lease(lease_id), issuer)
        except LeaseGone:
            return LeaseState.EXPIRED
        except AccessDenied:
            if issuer.is_over:  # Vault ends a token's leases with it.
                return LeaseState.EXPIRED
            raise


def known_fields(leased: LeasedSecret, public: frozenset[str]) -> LeasedSecret:
    """The same, with all fields but the public ones registered as secrets."""
    for name, value in leased.fields.items():
        if name not in public:
            register_secret(value, name=f"{leased.path}, field {name}")
    return leased


def _end_token(session: VaultSession) -> LeaseState:
    """Revoke it. One that the server refuses counts as over by the clock only: the policy may lack the revocation."""
    try:
        session.revoke()
    except AccessDenied:
        if session.is_over:
            return LeaseState.EXPIRED
        raise
    finally:
        session.close()
    return LeaseState.REVOKED


def _is_usable(session: VaultSession, minimum_seconds: float) -> bool:
    if not session.lifetime_seconds:  # a token without end, such as a root token
        return True
    wanted = max(minimum_seconds, session.lifetime_seconds * _USABLE)
    return session.ttl_seconds >= min(wanted, session.lifetime_seconds * _CAPPED)
