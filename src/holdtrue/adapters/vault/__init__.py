"""HashiCorp Vault and OpenBao, by hvac: what can be asked with one token, and everything that can go wrong.

`server` says where, `auth` who, `login` makes a session of the two; `kv`, `engines` and `leases` are what a session can
be asked, over the one `connection`; `failures` maps all errors. Nothing is retried and nothing is cached here.
hvac takes 0.3 s to import, so it is imported when the first session opens and not with this package.
"""

from holdtrue.adapters.vault.auth import Token, VaultAuth, login_path
from holdtrue.adapters.vault.engines import IssuedCertificate, LeasedSecret, SignedKey
from holdtrue.adapters.vault.failures import ForeignAnswer, LeaseGone, NotSent
from holdtrue.adapters.vault.login import batch_refused, login, open_vault, unwrap
from holdtrue.adapters.vault.server import VaultServer
from holdtrue.adapters.vault.session import VaultSession

__all__ = [
    "ForeignAnswer",
    "IssuedCertificate",
    "LeaseGone",
    "LeasedSecret",
    "NotSent",
    "SignedKey",
    "Token",
    "VaultAuth",
    "VaultServer",
    "VaultSession",
    "batch_refused",
    "login",
    "login_path",
    "open_vault",
    "unwrap",
]
