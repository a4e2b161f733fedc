"""Policies as HCL."""

from holdtrue.core.vault_policy import policy


def test_needs_are_joined_by_path_and_sorted() -> None:
    assert policy([{"b/c": "update", "a": "read"}, {"b/c": "create"}]) == (
        'path "a" { capabilities = ["read"] }\npath "b/c" { capabilities = ["create", "update"] }'
    )
