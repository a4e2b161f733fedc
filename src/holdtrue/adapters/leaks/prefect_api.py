"""What a Prefect server tells those who may use its API: everything but what it keeps for itself in its database.

Paths and paging: the OpenAPI document of any server (`/docs`). A page without `limit` has the server's own size.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx

from holdtrue.adapters.leaks.record import SearchRecord
from holdtrue.models.leak import PrefectApi

_TIMEOUT_SECONDS: Final = 30.0
_LISTS: Final = (
    "flows", "flow_runs", "task_runs", "logs", "artifacts", "deployments", "block_types", "block_schemas",
    "block_documents", "variables", "automations", "work_pools", "work_queues", "concurrency_limits",
    "v2/concurrency_limits", "saved_searches",
)  # fmt: skip
_OF_EACH: Final = {"flow_runs": "flow_run_states", "task_runs": "task_run_states"}
"""A run shows its last state only; what earlier states said is told by their own path."""
_BEGIN_OF_TIME: Final = "1970-01-01T00:00:00Z"
"""Without it the server shows events of the last days only."""


def search_prefect_api(record: SearchRecord, place: PrefectApi) -> None:
    """Look at every record, block documents with their secrets included, as any client may ask for them."""
    token = place.authorization.get_secret_value()
    url = httpx.URL(place.url)
    shown = str(url.copy_with(userinfo=b"")).rstrip("/")
    headers = {"Authorization": token} if token else {}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client:
        for name in _LISTS:
            try:
                for item in _pages(client, name):
                    _look_at(record, f"{shown} {name}", item)
                    if name in _OF_EACH:
                        _look_at_history(record, client, shown, name, item)
            except (httpx.HTTPError, ValueError) as error:
                record.miss(f"{shown} {name}", _said(error))
                if isinstance(error, httpx.ConnectError):
                    return
        try:
            for event in _events(client):
                _look_at(record, f"{shown} events", event)
        except (httpx.HTTPError, ValueError) as error:
            record.miss(f"{shown} events", _said(error))


def _look_at(record: SearchRecord, place: str, item: Any) -> None:
    record.look_at(f"{place} {item.get('id', '')}".rstrip(), json.dumps(item, ensure_ascii=False).encode())


def _look_at_history(record: SearchRecord, client: httpx.Client, shown: str, name: str, item: Any) -> None:
    path = _OF_EACH[name]
    for state in _answer(client.get(f"{path}/", params={f"{name.removesuffix('s')}_id": item["id"]})):
        _look_at(record, f"{shown} {path}", state)
    if name == "flow_runs":
        for given in _answer(client.post(f"flow_runs/{item['id']}/input/filter", json={"prefix": ""})):
            _look_at(record, f"{shown} input of flow run {item['id']}", given)


def _pages(client: httpx.Client, name: str) -> Iterator[Any]:
    offset = 0
    last_page: Any = None
    while True:
        body: dict[str, Any] = {"offset": offset}
        if name == "block_documents":
            # Without a filter of its own the server leaves out the blocks that have no name.
            body |= {"include_secrets": True, "block_documents": {"is_anonymous": None}}
        page = _answer(client.post(f"{name}/filter", json=body))
        if not page:
            return
        if page == last_page:
            raise ValueError("every page is the same")
        yield from page
        offset += len(page)
        last_page = page


def _events(client: httpx.Client) -> Iterator[Any]:
    answer = _answer(client.post("events/filter", json={"filter": {"occurred": {"since": _BEGIN_OF_TIME}}}))
    yield from answer["events"]
    while answer["next_page"]:
        # By our own address: the server knows itself by another name when it stands behind a proxy.
        token = httpx.URL(answer["next_page"]).params["page-token"]
        answer = _answer(client.get("events/filter/next", params={"page-token": token}))
        yield from answer["events"]


def _answer(response: httpx.Response) -> Any:
    if not response.is_success:
        raise ValueError(f"the server answered {response.status_code}")
    return response.json()


def _said(error: httpx.HTTPError | ValueError) -> str:
    return str(error) or type(error).__name__
