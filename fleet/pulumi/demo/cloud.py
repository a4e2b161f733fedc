"""What every resource of this project shares: AWS clients, tags, and how a provider compares and reads.

Credentials, region and endpoint come from the standard AWS_* environment alone. Providers are pickled into the
stack's state, so they hold no attributes of their own and ask for a client when they need one.
"""

from abc import abstractmethod
from functools import cache
from threading import Lock
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

Properties = dict[str, Any]

_EXISTS = {"BucketAlreadyOwnedByYou", "DuplicateTargetGroupName", "EntityAlreadyExists", "ParameterAlreadyExists"}


_LOCK = Lock()


def client(service: str) -> Any:
    """One client a service and process, all of one session.

    The engine asks for several resources at once. Clients may be shared between threads, sessions may not; and each
    further session would read botocore's large service descriptions again.
    """
    with _LOCK:
        return _make_client(service)


@cache
def _make_client(service: str) -> Any:
    limits = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 2})
    return _session().client(service, config=limits)


@cache
def _session() -> Any:
    return boto3.session.Session()


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as most AWS calls want them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Tags as this project holds them."""
    return {tag["Key"]: tag["Value"] for tag in tags}


class AwsProvider(ResourceProvider):
    """Create, read, compare and delete one kind of resource.

    A subclass names its inputs and implements four verbs: `make` returns the id and computed values, `find` the live
    properties or None when the resource is gone, `change` brings a live resource to new inputs, `delete` removes it.
    """

    identity: ClassVar[tuple[str, ...]] = ("name",)
    """Inputs that can't change in place: a new value replaces the resource."""

    mutable: ClassVar[tuple[str, ...]] = ("tags",)
    """Inputs that `change` can bring about."""

    @abstractmethod
    def make(self, wanted: Properties) -> tuple[str, Properties]: ...

    @abstractmethod
    def find(self, id_: str) -> Properties | None: ...

    @abstractmethod
    def change(self, id_: str, old: Properties, wanted: Properties) -> None: ...

    def locate(self, wanted: Properties) -> tuple[str, Properties]:
        """Id and computed values of a resource that exists under the wanted name."""
        return wanted["name"], {}

    def create(self, props: Properties) -> CreateResult:
        try:
            id_, computed = self.make(props)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _EXISTS:
                raise
            id_, computed = self._take_over(props)
        return CreateResult(id_, {**props, **computed})

    def _take_over(self, wanted: Properties) -> tuple[str, Properties]:
        """Finish what a run began that was cut off before it was recorded; anybody else's resource is left alone."""
        id_, computed = self.locate(wanted)
        live = self.find(id_)
        if live is None or live["tags"] not in ({}, wanted["tags"]):
            raise LookupError(f"{wanted['name']} exists already and belongs to somebody else")
        self.change(id_, live, wanted)
        return id_, computed

    def read(self, id_: str, props: Properties) -> ReadResult:
        live = self.find(id_)
        if live is None:
            return ReadResult(None, {})
        inputs = {name: live[name] for name in (*self.identity, *self.mutable)}
        return ReadResult(id_, {**props, **live}, inputs)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        changed = [name for name in (*self.identity, *self.mutable) if _olds.get(name) != _news.get(name)]
        replaces = [name for name in changed if name in self.identity]
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=True)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        self.change(_id, _olds, _news)
        return UpdateResult({**_olds, **_news})
