"""Many buyers, few units, all at the same moment: is every unit sold, and none of them twice?

uv run --group bench python -m bench.contention --url http://127.0.0.1:8000 --email admin@example.com

It creates an item, a location and a receipt of its own and leaves the orders behind, so point it at an installation
made for trying things out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import click
import httpx
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS = 120.0
"""How long one buyer waits for an answer; a buyer without an answer counts as a failure."""

NO_ANSWER = 0
"""Stands for a status where none came."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the buyers were told and what was left on the shelf."""

    units: int
    buyers: int
    sold: int
    refused: int
    left: int
    seconds: float
    others: Mapping[int, int] = field(default_factory=dict)
    """How many buyers got which other status."""

    @property
    def rate(self) -> float:
        """Answered orders a second, sold and refused."""
        return (self.sold + self.refused) / self.seconds

    @property
    def verdict(self) -> str:
        """Say in a few words whether the promise held."""
        if self.sold > self.units:
            return f"OVERSOLD by {self.sold - self.units}"
        if self.others:
            return "FAILED: some buyers got neither an order nor a refusal"
        if self.sold < min(self.units, self.buyers) or self.left != self.units - self.sold:
            return "FAILED: what was sold and what is left do not add up"
        return "every unit was sold, and none twice" if self.refused else "every buyer was served"

    @property
    def is_right(self) -> bool:
        """Whether the promise held."""
        return self.verdict.startswith("every")


def contend(url: str, *, email: str, password: str, units: int, buyers: int) -> Outcome:
    """Lay out so many units, let so many buyers each order one at the same moment, and count.

    Raises:
        httpx.HTTPError: the preparations failed.

    """
    return asyncio.run(_contend(url, email=email, password=password, units=units, buyers=buyers))


async def _contend(url: str, *, email: str, password: str, units: int, buyers: int) -> Outcome:
    async with _client(url) as client:
        login = await _ask(client, "auth/token", {"username": email, "password": password})
        client.headers["Authorization"] = f"Bearer {login['access_token']}"
        item_id = await _lay_out(client, units)
        started = time.perf_counter()
        answers = Counter(await asyncio.gather(*(_buy(url, client.headers, item_id) for _ in range(buyers))))
        seconds = time.perf_counter() - started
        shelf = await client.get(f"items/{item_id}/availability")
        left = shelf.raise_for_status().json()["available"]
    sold, refused = answers.pop(HTTPStatus.CREATED, 0), answers.pop(HTTPStatus.CONFLICT, 0)
    return Outcome(units, buyers, sold, refused, left, seconds, dict(answers))


def _client(url: str, headers: httpx.Headers | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"{url.rstrip('/')}/api/v1/", headers=headers, timeout=PATIENCE_SECONDS, verify=_TLS, trust_env=False
    )


_TLS = ssl.create_default_context()
"""Made once: it takes longer than a request."""


async def _lay_out(client: httpx.AsyncClient, units: int) -> str:
    name = f"BENCH-{secrets.token_hex(6)}"
    item = await _ask(client, "items", {"sku": name, "name": "Contended", "unit_price": "1.00"})
    location = await _ask(client, "locations", {"code": name, "name": "Contended"})
    lines = [{"item_id": item["id"], "quantity": units}]
    await _ask(client, "stock/receipts", {"location_id": location["id"], "lines": lines})
    return item["id"]


async def _ask(client: httpx.AsyncClient, path: str, body: object) -> dict[str, str]:
    response = await client.post(path, json=body, headers=_key())
    answer: dict[str, str] = response.raise_for_status().json()
    return answer


async def _buy(url: str, headers: httpx.Headers, item_id: str) -> int:
    """Order one unit over a connection of one's own; tell the status, where 409 stands only for too little stock.

    Hundreds of requests in one httpx pool would keep the pool busier than the server.
    """
    order = {"lines": [{"item_id": item_id, "quantity": 1}]}
    try:
        async with _client(url, headers) as client:
            response = await client.post("orders", json=order, headers=_key())
    except httpx.TransportError:
        return NO_ANSWER
    is_conflict = response.status_code == HTTPStatus.CONFLICT
    if is_conflict and response.json()["error"]["code"] != "insufficient_stock":
        return -HTTPStatus.CONFLICT
    return response.status_code


def _key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_urlsafe(16)}


def is_loopback(url: str) -> bool:
    """Tell whether a URL leads to this machine."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def show(outcome: Outcome) -> None:
    """Print what happened as a table."""
    table = Table(title=f"{outcome.buyers} buyers, {outcome.units} units", show_header=False)
    table.add_row("sold", str(outcome.sold))
    table.add_row("refused", str(outcome.refused))
    for status, count in sorted(outcome.others.items()):
        table.add_row("no answer" if status == NO_ANSWER else f"other ({abs(status)})", str(count))
    table.add_row("left", str(outcome.left))
    table.add_row("seconds", f"{outcome.seconds:.2f}")
    table.add_row("orders a second", f"{outcome.rate:.0f}")
    table.add_row("verdict", outcome.verdict)
    Console().print(table)


@click.command("contention")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where Stockroom answers.")
@click.option("--email", required=True, help="An administrator's address.")
@click.option("--password", prompt=True, hide_input=True, help="Their password; asked for when left out.")
@click.option("--units", default=100, show_default=True, type=click.IntRange(1, 1_000_000), help="Units to sell.")
@click.option("--buyers", default=400, show_default=True, type=click.IntRange(1, 10_000), help="Buyers at once.")
@click.option("--allow-remote", is_flag=True, help="Let the load leave this machine.")
def contention(url: str, email: str, password: str, units: int, buyers: int, *, allow_remote: bool) -> None:
    """Let many buyers order few units at once; exit code 1 when a unit is sold twice or a buyer gets an error."""
    if not (allow_remote or is_loopback(url)):
        message = "is not on this machine; add --allow-remote if it is yours and may be loaded"
        raise click.BadParameter(message, param_hint="--url")
    try:
        outcome = contend(url, email=email, password=password, units=units, buyers=buyers)
    except httpx.HTTPError as error:
        raise click.ClickException(str(error)) from error
    show(outcome)
    if not outcome.is_right:
        raise SystemExit(1)


if __name__ == "__main__":
    contention()
