"""What a person is told about an input document that is not what it should be."""

from typing import Final

from pydantic import ValidationError

from holdtrue.errors import RejectedError

_PROBLEMS_SHOWN: Final = 5


def refusal(error: ValidationError, *, where: str, next_step: str, root: str = "") -> RejectedError:
    """The error that names the first five problems by field, such as `waivers[2].expires`; values are not repeated.

    `root` is what the validated value is called in its document, which `where` names.
    """
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    texts = [f"{_field(root, problem['loc'])}: {problem['msg']}" for problem in problems[:_PROBLEMS_SHOWN]]
    more = f" (and {len(problems) - _PROBLEMS_SHOWN} more)" if len(problems) > _PROBLEMS_SHOWN else ""
    return RejectedError("; ".join(texts) + more, where=where, next_step=next_step)


def _field(root: str, location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return (root + "".join(parts)).removeprefix(".") or "the document"
