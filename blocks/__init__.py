"""Where a credential comes from, never the credential: Prefect blocks that hold references into Vault.

May import the library, prefect and prefect-aws. Must not import flows or tasks, or keep a secret value in a field.
"""
