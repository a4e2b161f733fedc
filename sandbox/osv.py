"""The OSV API over the sandbox's own made-up advisories: no real package and no real flaw is in it.

Shapes and limits as documented at https://google.github.io/osv.dev/api/: an empty object means "nothing known", a batch
answers with ids and dates only and takes at most 1,000 queries. Withdrawn advisories are served by id and never match.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from sandbox.web import Answer, Request, WebServer

ADVISORIES = Path(__file__).parent / "advisories"
LARGEST_BATCH = 1000
PURL = re.compile(r"pkg:pypi/(?P<name>[^@?#]+)(?:@(?P<version>[^?#]+))?")


def write_dump(path: Path, advisories: Path = ADVISORIES) -> None:
    """Write the same advisories, withdrawn ones included, as a dump: a second source with one JSON document a line."""
    records = (json.loads(file.read_text()) for file in sorted(advisories.glob("*.json")))
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


class OsvServer:
    """The server; `url` is the API's root, without `/v1`."""

    def __init__(self, port: int, advisories: Path = ADVISORIES) -> None:
        self._advisories = {
            advisory["id"]: advisory
            for advisory in (json.loads(path.read_text()) for path in sorted(advisories.glob("*.json")))
        }
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._web = WebServer(port, self._answer)
        self.url = self._web.url

    def request_counts(self) -> Mapping[str, int]:
        """Return how many requests each endpoint got: `query`, `querybatch`, `vulns`."""
        with self._lock:
            return MappingProxyType(dict(self._counts))

    def clear(self) -> None:
        """Count from zero again."""
        with self._lock:
            self._counts.clear()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._web.stop()

    def _answer(self, request: Request) -> Answer:
        endpoint = request.path.removeprefix("/v1/").split("/")[0]
        with self._lock:
            self._counts[endpoint] += 1
        try:
            match request.method, request.path.split("/")[1:]:
                case "POST", ["v1", "query"]:
                    return _found({"vulns": self._matching(json.loads(request.body))})
                case "POST", ["v1", "querybatch"]:
                    return self._batch(json.loads(request.body)["queries"])
                case "GET", ["v1", "vulns", identifier] if identifier in self._advisories:
                    return _found(self._advisories[identifier])
                case _:
                    return _refused(HTTPStatus.NOT_FOUND, 5, "Bug not found.")
        except (ValueError, KeyError, TypeError) as error:
            return _refused(HTTPStatus.BAD_REQUEST, 3, f"Invalid query: {error}")

    def _batch(self, queries: list[Any]) -> Answer:
        if len(queries) > LARGEST_BATCH:
            return _refused(HTTPStatus.BAD_REQUEST, 3, "Too many queries.")
        results = []
        for query in queries:
            short = [{"id": found["id"], "modified": found["modified"]} for found in self._matching(query)]
            results.append({"vulns": short} if short else {})
        return _found({"results": results})

    def _matching(self, query: Any) -> list[Any]:
        package = query["package"]
        name, version = package.get("name"), query.get("version")
        if purl := PURL.fullmatch(package.get("purl", "")):
            name, version = purl["name"], purl["version"] or version
        elif package.get("ecosystem") != "PyPI":
            return []
        return [
            advisory
            for advisory in self._advisories.values()
            if "withdrawn" not in advisory
            and any(_affects(affected, _normalised(name), version) for affected in advisory["affected"])
        ]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _affects(affected: Any, name: str, version: str | None) -> bool:
    if _normalised(affected["package"]["name"]) != name:
        return False
    if version is None or version in affected.get("versions", ()):
        return True
    return any(_in_range(found["events"], Version(version)) for found in affected.get("ranges", ()))


def _in_range(events: list[dict[str, str]], version: Version) -> bool:
    """Walk the events in order (OSV schema 1.7, "evaluation algorithm"); introduced "0" is before every version."""
    inside = False
    for event in events:
        match event:
            case {"introduced": "0"}:
                inside = True
            case {"introduced": start} if version >= Version(start):
                inside = True
            case {"fixed": end} if version >= Version(end):
                inside = False
            case {"last_affected": end} if version > Version(end):
                inside = False
            case _:
                continue
    return inside


def _found(document: Any) -> Answer:
    if document == {"vulns": []}:
        document = {}
    return Answer(HTTPStatus.OK, "application/json", json.dumps(document).encode())


def _refused(status: HTTPStatus, code: int, message: str) -> Answer:
    return Answer(status, "application/json", json.dumps({"code": code, "message": message}).encode())
