"""What is installed on remote hosts, over the SSH that is there already: one command a host, and no agent.

A program of ours goes to the host's shell on standard input, looks for package folders and prints their metadata; it
is judged here. Nothing is written on the host.
"""

from holdtrue.adapters.inventory_hosts.hosts import STANDARD_ROOTS, HostInventory, list_hosts

__all__ = ["STANDARD_ROOTS", "HostInventory", "list_hosts"]
