"""What the Prefect API tells of blocks is searched, those without a name included."""

import asyncio
from uuid import uuid4

from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

from holdtrue.adapters.leaks import search
from holdtrue.models.leak import KnownValue, LeakVerdict, PrefectApi


def test_secrets_in_blocks_with_and_without_a_name_are_found() -> None:
    named, anonymous, nowhere = (f"value-{uuid4()}" for _ in range(3))
    Secret(value=named).save(f"leaks-{uuid4().hex[:8]}", _sync=True)  # type: ignore[call-arg]
    asyncio.run(Secret(value=anonymous)._save(is_anonymous=True))
    values = [
        KnownValue(name=name, value=SecretStr(value))
        for name, value in (("named", named), ("anonymous", anonymous), ("nowhere", nowhere))
    ]
    url = PREFECT_API_URL.value()
    assert url is not None
    report = search(values, [PrefectApi(url=url)])
    assert report.verdict is LeakVerdict.LEAKED
    assert {leak.name for leak in report.leaks if "block_documents" in leak.place} == {"named", "anonymous"}
