from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from holdtrue.adapters.aws import caller_identity
from holdtrue.errors import SecretInvalid

COMPLETE = {
    "AWS_ACCESS_KEY_ID": SecretStr("AKIAEXAMPLE"),
    "AWS_SECRET_ACCESS_KEY": SecretStr("the-secret-key"),
    "AWS_REGION": SecretStr("eu-central-1"),
}


@pytest.mark.parametrize("name", sorted(COMPLETE))
@pytest.mark.parametrize("value", [None, ""])
def test_incomplete_credentials_are_refused_before_anything_is_asked(name: str, value: str | None) -> None:
    given: Mapping[str, SecretStr] = {
        key: SecretStr(value) if key == name and value is not None else secret
        for key, secret in COMPLETE.items()
        if key != name or value is not None
    }
    with pytest.raises(SecretInvalid) as caught:
        caller_identity(given, timeout_seconds=1)
    assert name in str(caught.value)
    assert "the-secret-key" not in str(caught.value)
