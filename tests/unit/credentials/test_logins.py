"""The forms of a login: what they say of themselves."""

import logging

import pytest
from pydantic import SecretStr

from holdtrue.credentials.logins import TokenAuth
from holdtrue.credentials.sources import EnvironmentSource


def test_a_token_in_a_document_warns_without_showing_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        auth = TokenAuth(value=SecretStr("hvs.the-token-of-the-document"))
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "source" in warning.getMessage()
    assert "hvs.the-token-of-the-document" not in f"{caplog.text}{auth!r}"


def test_a_token_elsewhere_does_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    TokenAuth(source=EnvironmentSource(variable="TOKEN"))
    assert caplog.records == []
