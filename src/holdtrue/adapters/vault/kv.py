"""The KV engine, both versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from holdtrue.adapters.vault.connection import VaultConnection, data_of, not_vault
from holdtrue.adapters.vault.failures import Call, SecretDeleted, place
from holdtrue.errors import HoldtrueError, RejectedError, ResourceMissing, SecretInvalid

_V2: Final = 2


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """A secret as it was at one version."""

    fields: dict[str, SecretStr]
    version: int
    """0 for KV version 1, which counts none."""


class KeyValue(VaultConnection):
    """Reads and writes secrets."""

    def read_secret(
        self, mount: str, path: str, version: int | None = None, *, kv_version: int = _V2
    ) -> dict[str, SecretStr]:
        """The fields of one secret; `version` None reads the newest.

        Raises:
            SecretInvalid: a field is not a string.
            ResourceMissing: no such mount or path; SecretDeleted when the version is deleted.
            RejectedError: the mount is of the other KV version.
        """
        return self.read_secret_version(mount, path, version, kv_version=kv_version).fields

    def read_secret_version(
        self, mount: str, path: str, version: int | None = None, *, kv_version: int = _V2
    ) -> SecretVersion:
        """The same with the number of the version, for a later check-and-set."""
        call = Call("read the secret", _path(mount, path, kv_version), "read")
        if kv_version != _V2 and version is not None:
            raise RejectedError(
                "KV version 1 keeps no versions to choose from",
                where=place(self.server, call),
                next_step="leave version out of the block.",
            )
        query = {} if version is None else {"version": str(version)}
        try:
            data = data_of(self.read(call, **query), self.server, call)
        except ResourceMissing as missing:
            other = self._other_kind(mount, kv_version, call)
            if other is None:
                raise
            raise other from missing
        if kv_version != _V2:
            return SecretVersion(self._strings(data, call), 0)
        metadata = data.get("metadata")
        number = metadata.get("version") if isinstance(metadata, dict) else None
        if not isinstance(number, int):
            raise not_vault(self.server, call)
        return SecretVersion(self._strings(data.get("data"), call), number)

    def newest_version(self, mount: str, path: str, *, kv_version: int = _V2) -> SecretVersion:
        """What the next version is written upon: no fields where the newest one is deleted, number 0 where none is.

        Raises:
            HoldtrueError: what `read_secret_version` raises, but for a secret that is not there.
        """
        try:
            return self.read_secret_version(mount, path, kv_version=kv_version)
        except SecretDeleted as deleted:
            return SecretVersion({}, deleted.version)
        except ResourceMissing:
            return SecretVersion({}, 0)

    def write_secret(
        self,
        mount: str,
        path: str,
        fields: Mapping[str, SecretStr],
        *,
        cas: int | None = None,
        kv_version: int = _V2,
    ) -> int:
        """Write a secret whole; returns its version, 0 for KV version 1.

        Args:
            mount: Path of the engine.
            path: Path of the secret below it.
            fields: All fields of the secret from now on.
            cas: Write only if this is the newest version, 0 if there must be none; None writes in any case.
            kv_version: Version of the engine.

        Raises:
            RejectedError: another version is the newest, or KV version 1 is asked for check-and-set.
        """
        call = Call("write the secret", _path(mount, path, kv_version), "update")
        other = self._other_kind(mount, kv_version, call)
        if other is not None:
            # Before the write: KV version 1 would take it, at another path than is meant.
            raise other
        plain = {name: value.get_secret_value() for name, value in fields.items()}
        if kv_version != _V2:
            if cas is not None:
                raise RejectedError(
                    "KV version 1 has no check-and-set", where=place(self.server, call), next_step="leave cas out."
                )
            self.ask(call, lambda url: self._client.adapter.post(url, json=plain), fields.values())
            return 0
        body: dict[str, Any] = {"data": plain, "options": {} if cas is None else {"cas": cas}}
        version = data_of(self.write(call, body, fields.values()), self.server, call).get("version")
        if not isinstance(version, int):
            raise not_vault(self.server, call)
        return version

    def _strings(self, fields: object, call: Call) -> dict[str, SecretStr]:
        if not isinstance(fields, dict):
            raise not_vault(self.server, call)
        wrong = sorted(f"{name} ({type(value).__name__})" for name, value in fields.items() if type(value) is not str)
        if wrong:
            raise SecretInvalid(
                f"the secret has fields that are not strings: {', '.join(wrong)}",
                where=place(self.server, call),
                next_step="write them as strings: `vault kv put` does, a JSON body keeps numbers and lists.",
            )
        return {name: SecretStr(value) for name, value in fields.items()}

    def _other_kind(self, mount: str, kv_version: int, call: Call) -> RejectedError | None:
        """The error that names the engine's real version, if the mount is KV and of the other one."""
        question = Call("look at the mount", f"sys/internal/ui/mounts/{mount}", "read")
        try:
            about = data_of(self.read(question), self.server, question)
        except HoldtrueError:
            return None
        options = about.get("options")
        found = (options.get("version") if isinstance(options, dict) else None) or "1"
        if about.get("type") not in ("kv", "generic") or found == str(kv_version):
            return None
        return RejectedError(
            f"could not {call.action}: the mount is KV version {found}, and the block says {kv_version}",
            where=place(self.server, call),
            next_step=f"set kv_version of the block to {found}.",
        )


def _path(mount: str, path: str, kv_version: int) -> str:
    return f"{mount}/data/{path}" if kv_version == _V2 else f"{mount}/{path}"
