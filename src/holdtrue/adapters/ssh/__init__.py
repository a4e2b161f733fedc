"""SSH: a key pair for one run, an open access that ends with it, and the question whether the hosts answer."""

from holdtrue.adapters.ssh.access import open_ssh_access
from holdtrue.adapters.ssh.keys import generate_key_pair
from holdtrue.adapters.ssh.reach import reach

__all__ = ["generate_key_pair", "open_ssh_access", "reach"]
