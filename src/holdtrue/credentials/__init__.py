"""Credentials by reference: what to ask Vault for, what is held while a run lasts, and how all of it ends.

`vault`, `aws`, `ssh`, ... are references: documents without a secret, saved as Prefect blocks or kept in the fleet.
`scope` is what one run holds of them; `shared` is one login that its threads share; `sweep` ends what dead runs left.
May use the adapters. Must not import Prefect, or keep a value longer than its scope.
"""
