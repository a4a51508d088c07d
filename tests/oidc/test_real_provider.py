"""A real, certified OpenID provider (npm oidc-provider), started for these tests alone."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api.oidc.provider import PAUSE_SECONDS, REFRESH_SECONDS
from tests.factories import PASSWORD
from tests.live import committed
from tests.oidc.idp import bearer
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

pytestmark = pytest.mark.provider

HERE = Path(__file__).parent / "provider"
ME, LOGIN = "/api/v1/users/me", "/api/v1/auth/token"
CLIENT = ("till", "a-secret-of-the-test-suite")
NODE_MISSING = "These tests need Node and npm: apt-get install nodejs npm"


@pytest.fixture(scope="module")
def node() -> str:
    """Node, and beside the program what it needs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.fail(NODE_MISSING)
    if not (HERE / "node_modules").is_dir():
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True, timeout=300)
    return node


@pytest.fixture
def issuer() -> str:
    """Where the provider will be."""
    with create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def run(node: str, issuer: str) -> Callable[[], Any]:
    """Start the provider, each time with new keys."""

    @contextmanager
    def started() -> Iterator[None]:
        command = [node, "provider.mjs", issuer.rpartition(":")[2]]
        process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_until(lambda: _is_up(process, issuer), seconds=60)
            yield
        finally:
            process.kill()
            process.communicate()

    return started


@pytest.fixture
def shop(start: Callable[..., Flask], issuer: str) -> Flask:
    """An application that trusts the provider."""
    return start(
        oidc_issuer=issuer,
        oidc_audience="stockroom",
        oidc_role_claim="realm.roles",
        oidc_roles=("warehouse=clerk",),
        oidc_default_role="none",
    )


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_its_tokens_open_an_account_with_the_role_it_tells(
    shop: Flask, run: Callable[[], Any], issuer: str, algorithm: str
) -> None:
    with run():
        headers = bearer(access_token(issuer, algorithm))

        answer = shop.test_client().get(ME, headers=headers)
        again = shop.test_client().get(ME, headers=headers)

    assert answer.status_code == 200, answer.text
    assert answer.get_json()["role"] == "clerk"
    assert answer.get_json()["name"] == "The till"
    assert again.get_json() == answer.get_json()


def test_it_may_be_restarted_with_other_keys_and_be_away(shop: Flask, run: Callable[[], Any], issuer: str) -> None:
    client, provider = shop.test_client(), shop.extensions["identity_provider"]
    with committed(shop) as make:
        email = make.user().email
    now = [0.0]
    provider.clock = lambda: now[0]

    with run():
        old = bearer(access_token(issuer))
        assert client.get(ME, headers=old).status_code == 200
    with run():
        new = bearer(access_token(issuer))
        now[0] += PAUSE_SECONDS
        assert client.get(ME, headers=new).status_code == 200
        assert_problem(client.get(ME, headers=old), 401, "token_invalid", None)
    now[0] += REFRESH_SECONDS

    assert client.get(ME, headers=new).status_code == 200
    now[0] += PAUSE_SECONDS
    assert_problem(client.get(ME, headers=old), 401, "token_invalid", None)
    assert client.get(ME, headers=new).status_code == 200
    assert client.post(LOGIN, json={"username": email, "password": PASSWORD}).status_code == 200


def access_token(issuer: str, algorithm: str = "ES256") -> str:
    """Ask the provider for an access token as a service does."""
    wanted = {"grant_type": "client_credentials", "scope": "api", "resource": f"urn:stockroom:{algorithm}"}
    response = httpx.post(f"{issuer}/token", data=wanted, auth=CLIENT)
    assert response.is_success, response.text
    token: str = response.json()["access_token"]
    return token


def _is_up(process: subprocess.Popen[str], issuer: str) -> bool:
    if process.poll() is not None:
        raise AssertionError(process.communicate()[0])
    try:
        return httpx.get(f"{issuer}/.well-known/openid-configuration").is_success
    except httpx.TransportError:
        return False
