"""The fleet's credential references as saved blocks: `python -m blocks.publish`, or `make blocks`.

Shows what differs before it saves, saves only what differs, and deletes only when it is asked to.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import Field

from blocks.loading import asking_prefect, load_block
from blocks.reference import Reference
from blocks.register import BLOCK_TYPES, block_type_of, register_blocks
from holdtrue.cli import session
from holdtrue.credentials.documents import Document, Documents, load_documents
from holdtrue.credentials.vault import VaultCredentials
from holdtrue.errors import BlockMissing, HoldtrueError, RejectedError
from holdtrue.models.base import Value
from holdtrue.settings import load_settings

_LOGIN: Final = "vault"
"""The field of a block that holds another block."""
_RETRIES: Final = 2
"""Of what changes something: a server on SQLite answers 503 when it is locked for longer than it waits."""


class Difference(StrEnum):
    """How a saved block stands to the fleet's file."""

    MISSING = "missing"
    """Declared and not saved."""
    CHANGED = "changed"
    SAME = "same"
    UNDECLARED = "undeclared"
    """Saved and not declared; deleted only on request."""


class FieldDifference(Value):
    """One field that differs; secrets are masked."""

    field: str
    saved: str
    declared: str


class BlockDifference(Value):
    """One block."""

    block_type: str = Field(description="Slug of its type.")
    name: str
    difference: Difference
    fields: tuple[FieldDifference, ...] = ()


def compare(documents: Documents) -> tuple[BlockDifference, ...]:
    """How the saved blocks stand to the declared ones; changes nothing.

    Raises:
        HoldtrueError: the Prefect API does not answer.
    """
    declared = [_compare(entry) for entry in documents.entries]
    known = {(item.block_type, item.name) for item in declared}
    undeclared = [
        BlockDifference(block_type=slug, name=name, difference=Difference.UNDECLARED)
        for slug, name in _saved_names()
        if (slug, name) not in known
    ]
    return (*declared, *undeclared)


def publish(
    documents: Documents,
    *,
    prune: bool = False,
    show: Callable[[Sequence[BlockDifference]], None] = lambda _: None,
) -> tuple[BlockDifference, ...]:
    """Register the block types, save what is missing or changed, and return what differed before.

    Args:
        documents: What the fleet declares.
        prune: Delete the blocks of these types that the fleet does not declare.
        show: Told what differs before any block is saved or deleted.

    Raises:
        HoldtrueError: the Prefect API does not answer, or refuses. Done twice, it goes on where it stopped.
    """
    with asking_prefect("register the block types", retries=_RETRIES):
        register_blocks()
    found = compare(documents)
    show(found)
    saved: dict[str, Reference] = {}
    for entry, item in zip(documents.entries, found, strict=False):
        if item.difference is not Difference.SAME:
            with asking_prefect(f"save the block {entry.name!r}", retries=_RETRIES):
                # `_sync`, which the signature hides: without it this is a coroutine when an event loop runs.
                _block(entry, saved).save(entry.name, overwrite=True, _sync=True)  # type: ignore[call-arg]
        if isinstance(entry.reference, VaultCredentials):
            saved[entry.name] = load_block(_block_type(entry), entry.name)
    if prune:
        _delete([item for item in found if item.difference is Difference.UNDECLARED])
    return found


def _compare(entry: Document) -> BlockDifference:
    block_type = _block_type(entry)
    slug = block_type.get_block_type_slug()
    try:
        block = load_block(block_type, entry.name)
    except BlockMissing:
        return BlockDifference(block_type=slug, name=entry.name, difference=Difference.MISSING)
    except RejectedError as error:
        fields: tuple[FieldDifference, ...] = (FieldDifference(field="*", saved=error.what, declared="valid"),)
    else:
        fields = tuple(_differing(block, entry))
    difference = Difference.CHANGED if fields else Difference.SAME
    return BlockDifference(block_type=slug, name=entry.name, difference=difference, fields=fields)


def _differing(block: Reference, entry: Document) -> Iterator[FieldDifference]:
    for field in type(entry.reference).model_fields:
        saved, declared = getattr(block, field), getattr(entry.reference, field)
        if field == _LOGIN:
            # Compared as what they say: a login that is renamed and says the same is the same.
            saved, declared = _said(saved), _said(declared)
        if saved != declared:
            yield FieldDifference(field=field, saved=str(saved), declared=str(declared))


def _said(login: VaultCredentials) -> dict[str, object]:
    return {field: getattr(login, field) for field in VaultCredentials.model_fields}


def _block(entry: Document, logins: dict[str, Reference]) -> Reference:
    fields = {field: getattr(entry.reference, field) for field in type(entry.reference).model_fields}
    if entry.login:
        fields[_LOGIN] = logins[entry.login]
    return _block_type(entry)(**fields)


def _block_type(entry: Document) -> type[Reference]:
    return block_type_of(type(entry.reference))


def _saved_names() -> Iterator[tuple[str, str]]:
    with asking_prefect("list the saved blocks"), get_client(sync_client=True) as client:
        for block_type in BLOCK_TYPES:
            slug = block_type.get_block_type_slug()
            try:
                documents = client.read_block_documents_by_type(slug, include_secrets=False)
            except PrefectHTTPStatusError as error:
                if error.response.status_code == HTTPStatus.NOT_FOUND:  # The type is not registered yet.
                    continue
                raise
            yield from ((slug, document.name) for document in documents if document.name is not None)


def _delete(undeclared: Sequence[BlockDifference]) -> None:
    # What uses a login goes before the login.
    order = [block_type.get_block_type_slug() for block_type in reversed(BLOCK_TYPES)]
    by_type = {block_type.get_block_type_slug(): block_type for block_type in BLOCK_TYPES}
    for item in sorted(undeclared, key=lambda item: order.index(item.block_type)):
        with asking_prefect(f"delete the block {item.name!r}", retries=_RETRIES):
            by_type[item.block_type].delete(item.name, _sync=True)  # type: ignore[call-arg]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: saved, or nothing to do; 1: a dry run found differences; 2: the file is wrong; 3: no answer."""
    parser = argparse.ArgumentParser(prog="python -m blocks.publish", description="Save the fleet's blocks.yaml.")
    parser.add_argument("--dry-run", action="store_true", help="show what differs, and save nothing")
    parser.add_argument("--prune", action="store_true", help="delete blocks of these types that are not declared")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON, one a line")
    options = parser.parse_args(arguments)

    def show(found: Sequence[BlockDifference]) -> None:
        for item in found:
            if options.json:
                session.show_json(item, indent=None)
            else:
                session.show_lines(_described(item))

    try:
        documents = load_documents(load_settings().fleet.expanduser())
        if options.dry_run:
            found = compare(documents)
            show(found)
        else:
            found = publish(documents, prune=options.prune, show=show)
    except HoldtrueError as error:
        session.note(f"blocks: {error}")
        return 2 if isinstance(error, RejectedError) else 3
    return int(options.dry_run and any(item.difference is not Difference.SAME for item in found))


def _described(item: BlockDifference) -> list[str]:
    lines = [f"{item.difference:<10} {item.block_type}/{item.name}"]
    lines += [f"           {field.field}: {field.saved} -> {field.declared}" for field in item.fields]
    return lines


if __name__ == "__main__":
    sys.exit(main())
