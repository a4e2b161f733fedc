"""Keyed hashes of what a plan is made of. Standard library only, because the engine's child uses them too.

A digest is shown to everybody who may see a run, and none of them must be able to find a short secret by hashing
guesses. So only the workers and their ledger know the key, and secrets have a slow hash on top of that.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final

from holdtrue.adapters.pulumi.messages import Json

_SCRYPT: Final = {"n": 2**13, "r": 8, "p": 1}
"""About 20 ms and 8 MiB for each resource that is given a secret."""


def keyed_hash(key: bytes, value: Json) -> str:
    """HMAC-SHA-256 over the value in a canonical form."""
    return hmac.new(key, _canonical(value), hashlib.sha256).hexdigest()


def secret_hash(key: bytes, value: Json) -> str:
    """Scrypt over the value in a canonical form, with the key as its salt."""
    return hashlib.scrypt(_canonical(value), salt=key, **_SCRYPT).hex()


def keyed_hashes(key: bytes, values: Mapping[str, Json]) -> dict[str, str]:
    """The keyed hash of each value, by its name."""
    return {name: keyed_hash(key, value) for name, value in values.items()}


def _canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
