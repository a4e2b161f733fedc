"""Which tasks of a playbook are selected by tags."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """As ansible-playbook's `--tags` and `--skip-tags`; empty for all tasks."""

    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags or self.skip_tags)

    def __str__(self) -> str:
        """For people, to be read after "tasks"."""
        parts = [f"with the tags {', '.join(self.tags)}"] if self.tags else []
        parts += [f"without the tags {', '.join(self.skip_tags)}"] if self.skip_tags else []
        return " and ".join(parts)

    def arguments(self) -> list[str]:
        """Arguments of ansible-playbook."""
        arguments = [f"--tags={','.join(self.tags)}"] if self.tags else []
        return arguments + ([f"--skip-tags={','.join(self.skip_tags)}"] if self.skip_tags else [])


ALL_TASKS: Final = TaskSelection()
