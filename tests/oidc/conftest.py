"""An identity provider, and an application that trusts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api.oidc.provider import Provider
from api.oidc.tokens import ProviderTokens
from api.rest.caller import Authenticator
from tests.oidc import idp as idps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from api.config import Settings
    from tests.oidc.idp import IdentityProvider

ROLES = ("warehouse=clerk", "office=manager", "boss=admin", "Night Shift=clerk")


@pytest.fixture
def idp() -> Iterator[IdentityProvider]:
    """An identity provider of this test's own."""
    with idps.running() as idp:
        yield idp


@pytest.fixture
def provider(idp: IdentityProvider) -> Provider:
    """What the application knows of it: nothing yet."""
    return Provider(idp.issuer)


@pytest.fixture
def trust(
    app: Flask, idp: IdentityProvider, provider: Provider, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., ProviderTokens]]:
    """Have the application whose work is rolled back accept the provider's tokens; keyword arguments are settings."""
    registered = app.extensions["authenticators"]
    before = list(registered)

    def accept(**settings: object) -> ProviderTokens:
        values = {"oidc_issuer": idp.issuer, "oidc_audience": idps.AUDIENCE, "oidc_roles": ROLES, **settings}
        tokens = ProviderTokens(make_settings("postgresql://unused", **values), provider)
        registered[:] = [Authenticator(tokens.recognises, tokens.read), *before]
        return tokens

    yield accept
    registered[:] = before


@pytest.fixture
def trusted(trust: Callable[..., ProviderTokens]) -> ProviderTokens:
    """Have it accept them with the usual settings."""
    return trust()
