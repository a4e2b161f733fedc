"""One module or folder per tool: the only code that imports its SDK or runs its command.

Adapters do not know each other.
"""
