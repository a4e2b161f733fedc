"""SSH key pairs."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


def write_ssh_key(path: Path) -> str:
    """Write a new Ed25519 key (mode 0600) and `PATH.pub`, and return the public line."""
    pair = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(pair.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public_key = pair.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    path.with_suffix(".pub").write_text(f"{public_key}\n")
    return public_key
