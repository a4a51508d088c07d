"""The documentation pages in a real browser: they work, and nothing leaves the machine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from api import create_app
from api.extensions import db
from tests.conftest import disposing, environment_of, new_database, serving
from tests.factories import PASSWORD, Factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx
    from flask import Flask
    from playwright.sync_api import Browser, Locator, Page

    from api.config import Settings
    from api.embedded import Postgres, Valkey

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)  # at most; the reference draws a hundred operations before any can be seen

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
def complaints() -> list[str]:
    """What the page complained about: errors in its console, among them violations of the content security policy."""
    return []


@pytest.fixture
def visited() -> set[str]:
    """The hosts the page spoke to."""
    return set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, complaints: list[str], visited: set[str]) -> Iterator[Page]:
    """A page that remembers nothing of those before."""
    page = browser.new_page(viewport={"width": 1300, "height": 1400})
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: visited.add(request.url.split("/")[2]))
    yield page
    page.close()


@pytest.fixture(scope="module")
def url(app: Flask, postgres: Postgres) -> Iterator[str]:
    """A database for all tests here."""
    with new_database(app, postgres) as url:
        yield url


@pytest.fixture(scope="module")
def shop(url: str, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """An application on it."""
    with disposing(create_app(make_settings(url))) as shop:
        yield shop


@pytest.fixture(scope="module")
def server(url: str, valkey: Valkey, keys_dir: Path) -> Iterator[httpx.URL]:
    """A server on it."""
    with serving(environment_of(url, valkey, keys_dir)) as address:
        yield address


@pytest.fixture
def username(shop: Flask) -> str:
    """An administrator of the installation the server works on."""
    with shop.app_context():
        email = str(Factory(db.session()).user(role="admin").email)
        db.session.commit()
    return email


def test_authorize_takes_username_and_password_and_an_operation_runs(
    page: Page, server: httpx.URL, username: str, complaints: list[str], visited: set[str]
) -> None:
    page.goto(str(server.join("/docs")))
    _authorize(page, username)
    operation = _open(page, "users", "showMyself")
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table td.response-col_status").last).to_have_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text(username)
    assert complaints == []
    assert visited == {server.netloc.decode()}


def test_the_reference_renders_with_local_assets_only(
    page: Page, server: httpx.URL, complaints: list[str], visited: set[str]
) -> None:
    page.goto(str(server.join("/redoc")))
    expect(page.get_by_role("heading", name="Place an order")).to_be_visible()
    assert complaints == []
    assert visited == {server.netloc.decode()}


@pytest.mark.parametrize(
    ("tag", "operation_id"), [("items", "listItems"), ("orders", "listOrders"), ("stock", "listStockMovements")]
)
def test_a_list_works_as_the_page_fills_it_in(
    page: Page, server: httpx.URL, username: str, tag: str, operation_id: str
) -> None:
    page.goto(str(server.join("/docs")))
    _authorize(page, username)
    operation = _open(page, tag, operation_id)
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table td.response-col_status").last).to_have_text("200")


def test_a_packing_slip_shows_what_was_written_and_runs_nothing(
    page: Page, server: httpx.URL, shop: Flask, complaints: list[str], visited: set[str]
) -> None:
    hostile = "<script>document.title = 'mine'</script>"
    with shop.app_context():
        make = Factory(db.session())
        order = make.order((make.item(stock=1, name=hostile), 1), shipping_address={"name": hostile, "country": "GB"})
        shipment, headers = make.shipment(order), make.headers(role="clerk")
        title, path = f"Packing slip {shipment.number}", f"/api/v1/orders/{order.id}/shipments/{shipment.id}"
        db.session.commit()
    page.set_extra_http_headers(headers)

    page.goto(str(server.join(f"{path}/packing-slip")))
    page.emulate_media(media="print")

    expect(page).to_have_title(title)
    expect(page.locator("td").nth(1)).to_have_text(hostile)
    expect(page.locator("header")).to_have_css("display", "flex")
    assert page.pdf().startswith(b"%PDF")
    assert complaints == []
    assert visited == {server.netloc.decode()}


def test_a_link_to_an_operation_opens_it(page: Page, server: httpx.URL, complaints: list[str]) -> None:
    page.goto(str(server.join("/docs#/webhooks/addWebhookEndpoint")))
    expect(page.locator("#operations-webhooks-addWebhookEndpoint .opblock-body")).to_be_visible()
    assert complaints == []


def test_every_chapter_and_every_webhook_is_on_the_page(page: Page, server: httpx.URL) -> None:
    document = page.request.get(str(server.join("/openapi.json"))).json()
    page.goto(str(server.join("/docs")))
    expect(page.locator(".opblock-tag")).to_have_count(len(document["tags"]))
    expect(page.locator(".webhooks .opblock")).to_have_count(len(document["webhooks"]))


def _open(page: Page, tag: str, operation_id: str) -> Locator:
    page.locator(f"#operations-tag-{tag}").click()
    operation = page.locator(f"#operations-{tag}-{operation_id}")
    operation.locator(".opblock-summary-control").click()
    return operation


def _authorize(page: Page, username: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    dialog.get_by_label("username:").fill(username)
    dialog.get_by_label("password:").fill(PASSWORD)
    dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
    dialog.locator("form").get_by_role("button", name="Close").click()
