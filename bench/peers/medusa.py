"""Medusa 2, its server alone: installed by npm, and run as its guide to deployment says.

Everything that several processes share lies in Redis: cache, events, workflows and locks. `medusa start --cluster`
starts as many processes at one port as there are to be workers; each serves requests and works off jobs.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench import servers
from bench.peers import npm
from bench.peers.shop import Shop

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

FILES = Path(__file__).with_name("medusa")
VERSION = npm.version(FILES, "@medusajs/medusa")
MEDUSA = "node_modules/.bin/medusa"
AMPLE = 500_000
"""Units of each item: nobody is refused."""

LINES = 3
_ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_1": "1 High Street",
    "city": "London",
    "postal_code": "N1 1AA",
    "country_code": "gb",
}


@contextmanager
def serving(
    directory: Path, *, cache: Path, database_url: str, redis_url: str, workers: int, items: int
) -> Iterator[Shop]:
    """Install it unless it is there, fill the empty database, start it, and stop it at the end; logs to directory."""
    place = npm.installed(FILES, cache, release=VERSION)
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = npm.environment(
        MEDUSA_DISABLE_TELEMETRY="true",
        JWT_SECRET="a secret of the load programs",  # noqa: S106  # opens nothing but this server
        COOKIE_SECRET="a secret of the load programs",  # noqa: S106  # the same
        DATABASE_URL=_readable_by_node(database_url),
        REDIS_URL=redis_url,
        LOG_LEVEL="warn",
    )
    url = f"http://127.0.0.1:{port}"

    def is_ready(process: subprocess.Popen[bytes]) -> bool:
        return servers.seconds_to_answer(f"{url}/health", process) > 0

    with (directory / "medusa.log").open("ab") as log:
        npm.run([MEDUSA, "db:migrate", "--execute-safe-links"], place, environment, log)
        said = npm.run([MEDUSA, "exec", "./seed.js", str(items), str(AMPLE)], place, environment, log)
        known = json.loads(next(line for line in said.splitlines() if b'"key"' in line))
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            variants = [str(found) for (found,) in connection.execute("SELECT id FROM product_variant")]

        def buy(client: httpx.Client, random: Random) -> None:
            _buy(client, f"{url}/store", random, variants=variants, known=known)

        def placed() -> int:
            with psycopg.connect(database_url) as connection:
                count = connection.execute('SELECT count(*) FROM "order"').fetchone()
            return int(count[0]) if count else 0

        start = [MEDUSA, "start", "--cluster", str(workers), "--host", "127.0.0.1", "--port", str(port)]
        with npm.running(start, place, environment, log, is_ready) as pid:
            yield Shop(VERSION, pid, buy, placed)


def _readable_by_node(database_url: str) -> str:
    """Write the directory of a socket where Node's URLs have the host."""
    parts = {name: quote(str(value), safe="") for name, value in conninfo_to_dict(database_url).items()}
    login = f"{parts['user']}:{parts.get('password', 'none')}"
    return f"postgresql://{login}@{parts['host']}:{parts.get('port', '5432')}/{parts['dbname']}"


def _buy(client: httpx.Client, url: str, random: Random, *, variants: Sequence[str], known: Mapping[str, str]) -> None:
    """Check out as a guest, in the steps of its guide to storefronts; what does not change is not asked for again."""

    def send(path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401  # whatever it answers
        answer = client.post(f"{url}{path}", json=body, headers={"x-publishable-api-key": known["key"]})
        return answer.raise_for_status().json()

    lines = [{"variant_id": variant, "quantity": 1} for variant in random.sample(variants, LINES)]
    guest = {"email": f"{random.getrandbits(64):x}@example.com", "shipping_address": _ADDRESS}
    cart = send("/carts", {"region_id": known["region"], "items": lines, **guest})["cart"]["id"]
    send(f"/carts/{cart}/shipping-methods", {"option_id": known["option"]})
    payment = send("/payment-collections", {"cart_id": cart})["payment_collection"]["id"]
    send(f"/payment-collections/{payment}/payment-sessions", {"provider_id": "pp_system_default"})
    answer = client.post(f"{url}/carts/{cart}/complete", headers={"x-publishable-api-key": known["key"]})
    if answer.raise_for_status().json()["type"] != "order":
        message = f"Medusa placed no order: {answer.text[:500]}"
        raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
