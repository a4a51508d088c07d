"""Vendure 3, its server alone: installed by npm, and run as its guides to production and to horizontal scaling say.

What several processes share lies outside of them: sessions in Redis, jobs in the database. As many servers listen at
one port as there are to be workers, as in PM2's cluster mode, which is Node's own; one more process works off jobs, of
which an order makes none. Plugins that the API can do without are left out, those for searching and for limiting what a
query may cost among them: they would only add to its work.
"""

from __future__ import annotations

import select
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.peers import npm
from bench.peers.shop import Shop

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence
    from random import Random

FILES = Path(__file__).with_name("vendure")
VERSION = npm.version(FILES, "@vendure/core")
AMPLE = 500_000
"""Units of each item: nobody is refused."""

LINES = 3
START_SECONDS = 120
DRIVER = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
"""What the parts of a database's URL are called in the environment."""

_BUY = """mutation Buy(
    $lines: [AddItemInput!]!, $customer: CreateCustomerInput!, $address: CreateAddressInput!,
    $shipping: [ID!]!, $payment: PaymentInput!
) {
    addItemsToOrder(inputs: $lines) { errorResults { __typename ...on ErrorResult { message } } }
    setCustomerForOrder(input: $customer) { __typename ...on ErrorResult { message } }
    setOrderShippingAddress(input: $address) { __typename ...on ErrorResult { message } }
    setOrderShippingMethod(shippingMethodId: $shipping) { __typename ...on ErrorResult { message } }
    transitionOrderToState(state: "ArrangingPayment") { __typename ...on ErrorResult { message } }
    addPaymentToOrder(input: $payment) {
        __typename
        ...on Order { code state totalWithTax lines { id quantity } }
        ...on ErrorResult { message }
    }
}"""
"""The steps of its guide to checking out, in one request: GraphQL takes mutations one after the other."""

_ADDRESS = {
    "fullName": "Ada Buyer",
    "streetLine1": "1 High Street",
    "city": "London",
    "postalCode": "N1 1AA",
    "countryCode": "GB",
}


@contextmanager
def serving(
    directory: Path, *, cache: Path, database_url: str, redis_url: str, workers: int, items: int
) -> Iterator[Shop]:
    """Install it unless it is there, fill the empty database, start it, and stop it at the end; logs to directory."""
    place = npm.installed(FILES, cache, release=VERSION)
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    database = conninfo_to_dict(database_url)
    environment = npm.environment(
        VENDURE_DISABLE_TELEMETRY="true",
        SUPERADMIN_PASSWORD="correct horse battery staple",  # noqa: S106  # opens nothing but this server
        COOKIE_SECRET="a secret of the load programs",  # noqa: S106  # the same
        REDIS_URL=redis_url,
        PORT=str(port),
        **{DRIVER[name]: str(value) for name, value in database.items() if name in DRIVER},
    )
    with (directory / "vendure.log").open("ab") as log:
        npm.run(["node", "seed.js", str(items), str(AMPLE)], place, environment, log)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            variants = [str(found) for (found,) in connection.execute("SELECT id FROM product_variant")]
            shipping = [str(found) for (found,) in connection.execute("SELECT id FROM shipping_method")]
        url = f"http://127.0.0.1:{port}"

        def buy(client: httpx.Client, random: Random) -> None:
            _buy(client, f"{url}/shop-api", random, variants=variants, shipping=shipping)

        def placed() -> int:
            with psycopg.connect(database_url) as connection:
                count = connection.execute('SELECT count(*) FROM "order" WHERE "orderPlacedAt" IS NOT NULL').fetchone()
            return int(count[0]) if count else 0

        with npm.running(["node", "serve.js", str(workers)], place, environment, log, _is_ready) as pid:
            yield Shop(VERSION, pid, buy, placed)


def _is_ready(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the word that every server listens, as long as somebody is there to say it."""
    if process.stdout is None:
        return False
    spoken, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    return bool(spoken) and process.stdout.readline() == b"ready\n"


def _buy(client: httpx.Client, url: str, random: Random, *, variants: Sequence[str], shipping: Sequence[str]) -> None:
    """Check out as somebody who has never been there: without a session, under an address of their own."""
    client.cookies.clear()
    guest = {"firstName": "Ada", "lastName": "Buyer", "emailAddress": f"{random.getrandbits(64):x}@example.com"}
    variables = {
        "lines": [{"productVariantId": variant, "quantity": 1} for variant in random.sample(variants, LINES)],
        "customer": guest,
        "address": _ADDRESS,
        "shipping": shipping,
        "payment": {"method": "standard-payment", "metadata": {}},
    }
    answer = client.post(url, json={"query": _BUY, "variables": variables}).raise_for_status()
    found: dict[str, Any] = answer.json()
    paid = (found.get("data") or {}).get("addPaymentToOrder", {})
    if "errors" in found or len(paid.get("lines", ())) != LINES:  # it takes a payment only when all else was right
        message = f"Vendure placed no order: {answer.text[:500]}"
        raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
