"""Reads `prefect.yaml` and base job templates as Prefect does, with aliases and merges, and says where what stands.

Every value is a text, as it is written: what looks like a number may be a password.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from pydantic import JsonValue

from holdtrue.core.deployment_exposure import BASE_JOB_TEMPLATE
from holdtrue.core.secret_detection import path_to
from holdtrue.errors import ManifestError
from holdtrue.models.deployment import DeploymentFile

_SIZE_LIMIT_BYTES: Final = 1 << 20
_VALUES_LIMIT: Final = 100_000
_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"
_PROJECT: Final = frozenset({"deployments", "pull", "build", "push"})


def read_deployment_file(path: Path) -> DeploymentFile:
    """Read one file, YAML or JSON.

    Raises:
        ManifestError: it cannot be read, is no YAML, holds itself, gives a field twice, or is neither of the two kinds.
    """
    reader = _Reader(path)
    try:
        if path.stat().st_size > _SIZE_LIMIT_BYTES:
            raise reader.error("the file is larger than 1 MiB", 0)
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        values = None if root is None else reader.expand(root, "", frozenset())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise reader.error(f"cannot be read: {reason}", 0) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # The parser's text may quote what it stopped at.
        raise reader.error("not YAML", mark.line if mark else 0) from None
    except RecursionError as error:
        raise reader.error("not YAML: nested too deeply", 0) from error
    if not isinstance(values, dict) or not values.keys() & (_PROJECT | BASE_JOB_TEMPLATE):
        raise reader.error("this is neither a prefect.yaml nor a work pool's base job template", 0)
    return DeploymentFile(path=path, values=values, positions=reader.positions)


@dataclass(slots=True)
class _Reader:
    path: Path
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)
    _read: int = 0
    _flat: set[int] = field(default_factory=set)

    def expand(self, node: yaml.Node, at: str, above: frozenset[int]) -> JsonValue:
        """Plain values of a node, aliases in full; `at` is its path, `above` are the nodes that it stands in."""
        line = node.start_mark.line
        self._read += 1
        if id(node) in above:
            raise self.error("an alias stands within its own anchor", line)
        if self._read > _VALUES_LIMIT:
            raise self.error(f"with its aliases the file has more than {_VALUES_LIMIT} values", line)
        self.positions.setdefault(at, (line + 1, node.start_mark.column))
        above |= {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self._expand_mapping(node, at, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.expand(item, f"{at}[{index}]", above) for index, item in enumerate(node.value)]
        return None if node.tag == _NULL else str(node.value)

    def _expand_mapping(self, node: yaml.MappingNode, at: str, above: frozenset[int]) -> JsonValue:
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._flatten(node)
        # Merged entries come first, and the mapping's own overrule them.
        entries = {str(key.value): value for key, value in node.value}
        return {key: self.expand(value, path_to(at, key), above) for key, value in entries.items()}

    def _flatten(self, node: yaml.MappingNode) -> None:
        """Resolve `<<`, in the node itself."""
        own: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in own and key.tag != _MERGE:
                raise self.error("a field is given twice", key.start_mark.line)
            own.add(name)
        yaml.SafeLoader("").flatten_mapping(node)

    def error(self, what: str, line: int) -> ManifestError:
        """The error about one line, counted from 0."""
        return ManifestError(what, where=f"{self.path}:{line + 1}", next_step="correct the file, or name another one")
