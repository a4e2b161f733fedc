"""HashiCorp Vault and OpenBao, by hvac: one short session per use, revoked on every way out of it.

`server` says where and who, `session` is what can be asked, `failures` maps everything that can go wrong.
hvac takes 0.3 s to import, so it is imported when the first session opens and not with this package.
"""

from holdtrue.adapters.vault.server import AppRole, VaultAuth, VaultServer
from holdtrue.adapters.vault.session import VaultSession, open_vault

__all__ = ["AppRole", "VaultAuth", "VaultServer", "VaultSession", "open_vault"]
