"""Rules of the house that no type checker knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.core import errors
from api.core.errors import DomainError
from api.core.orm import Base, Versioned
from api.extensions import MIGRATIONS
from api.jobs import service as jobs
from api.rest.docs import render_document
from api.rest.smorest import BEARER, OAUTH2
from tests.conftest import PROJECT
from tests.statements import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.routing import Rule

    from tests.factories import Factory

PUBLIC = {
    "POST /api/v1/auth/token",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/sign-up",
    "POST /api/v1/auth/confirm",
    "POST /api/v1/auth/password/forgot",
    "POST /api/v1/auth/password/reset",
    "POST /api/v1/auth/email/verify",
    "GET /.well-known/jwks.json",
    "GET /health",
    "GET /ready",
    "GET /openapi.json",
    "GET /docs",
    "GET /redoc",
    "GET /docs/assets/<name>",
    "GET /",
}
"""What strangers may ask. Everything else demands a login, and most of it a scope."""

WITHOUT_A_SCOPE = {"POST /api/v1/auth/logout", "GET /api/v1/users/me"}
"""What everybody who is logged in may do, whatever their role."""

SHARED_CODES = {
    "customer_not_found",
    "email_taken",
    "field_not_allowed",
    "forbidden",
    "invalid_character",
    "invalid_transition",
    "item_archived",
    "item_not_found",
    "location_not_found",
    "malformed_body",
    "out_of_range",
    "password_wrong",
    "return_not_found",
    "unsupported_media_type",
}
"""Codes that mean the same wherever they come from, and so may have several classes."""

STATEMENTS_OF_A_LIST = 2
"""Who asks, and the page itself."""
LISTS_WITH_LINES = {"/api/v1/shipments", "/api/v1/returns"}
"""Their rows come with lines, which are one statement more."""

ROUTES = sorted((PROJECT / "api").glob("*/routes.py"))
SERVICES = sorted(
    path for name in ("service", "repository", "models", "errors") for path in (PROJECT / "api").glob(f"*/{name}.py")
)
KINDS = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DomainError)}
OPERATION_WORDS = re.compile(r"[a-z][a-zA-Z]+")


def test_every_address_demands_a_scope_or_is_public_on_purpose(app: Flask) -> None:
    demands = {operation: scopes for operation, scopes in operations(app) if operation not in PUBLIC}

    without_mark = {operation for operation, scopes in demands.items() if scopes is None}
    without_scope = {operation for operation, scopes in demands.items() if scopes == ()}

    assert without_mark == set()
    assert without_scope == WITHOUT_A_SCOPE


def test_every_public_address_exists(app: Flask) -> None:
    assert {operation for operation, _ in operations(app)} >= PUBLIC | WITHOUT_A_SCOPE


def test_strangers_are_refused_at_every_address_that_is_not_public(app: Flask, client: FlaskClient) -> None:
    for operation, _ in operations(app):
        method, path = operation.split(" ")
        status = client.open(
            re.sub(r"<[^>]+>", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45", path), method=method
        ).status_code
        assert (status == 401) == (operation not in PUBLIC), operation


def test_every_refusal_has_a_code_of_its_own() -> None:
    codes = Counter(refusal.code for refusal in refusals())

    assert {code for code, times in codes.items() if times > 1} <= SHARED_CODES
    assert all(re.fullmatch(r"[a-z][a-z_]+", code) for code in codes)


def test_every_refusal_says_in_a_sentence_what_is_wrong() -> None:
    for refusal in refusals():
        assert re.match(r"[A-Z{].* ", refusal.message), refusal


def test_a_refusal_that_a_constraint_stands_for_needs_no_facts() -> None:
    for refusal in refusals():
        if refusal.constraint:
            assert "{" not in refusal.message, refusal
            assert refusal().problem.message == refusal.message


def test_every_constraint_a_refusal_stands_for_exists() -> None:
    named = {name for refusal in refusals() for name in refusal.constraints()}
    tables = Base.metadata.tables.values()
    known = {str(index.name) for table in tables for index in table.indexes}
    known |= {constraint_name(constraint) for table in tables for constraint in table.constraints}
    for migration in MIGRATIONS.rglob("*.py"):
        known |= set(re.findall(r"CONSTRAINT = '(\w+)'", migration.read_text("utf-8")))  # what triggers say

    assert named <= known


def test_every_refusal_has_a_kind() -> None:
    for refusal in refusals():
        assert KINDS - {DomainError} & set(refusal.__mro__), refusal


def test_every_operation_is_documented(document: dict[str, Any]) -> None:
    for name, operation in documented(document):
        assert operation["summary"], name
        assert not operation["summary"].endswith("."), name
        assert operation["tags"], name
        assert "security" in operation, name
        assert OPERATION_WORDS.fullmatch(operation["operationId"]), name
        assert operation["responses"].keys() - {"default"}, name


def test_every_operation_has_an_id_of_its_own(document: dict[str, Any]) -> None:
    ids = Counter(operation["operationId"] for _, operation in documented(document))

    assert [name for name, times in ids.items() if times > 1] == []


def test_every_operation_names_its_scopes(app: Flask, document: dict[str, Any]) -> None:
    shown = {name: operation["security"] for name, operation in documented(document)}

    for operation, scopes in operations(app):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation)
        if path not in shown:
            assert path.split(" ")[1] in {"/", "/openapi.json", "/docs", "/redoc", "/docs/assets/{name}"}
        elif operation in PUBLIC:
            assert shown[path] == []
        else:
            assert shown[path] == [{OAUTH2: list(scopes or ())}, {BEARER: list(scopes or ())}]


def test_every_field_of_a_request_is_explained_by_words_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in documented(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for field, schema in fields(document, media["schema"]):
                assert schema.get("description"), (name, field)
                assert "examples" in schema or "$ref" in str(schema), (name, field)


def test_every_parameter_is_explained_by_words_and_an_example(document: dict[str, Any]) -> None:
    for name, operation in documented(document):
        for parameter in (resolved(document, each) for each in operation.get("parameters", [])):
            assert parameter["in"] == "path" or parameter.get("description"), (name, parameter["name"])
            if parameter["in"] == "query":
                assert "examples" in parameter["schema"], (name, parameter["name"])


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"

    OpenAPIV31SpecValidator(document).validate()


def test_the_document_in_the_repository_is_the_present_one(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["spec", "--check"])

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("path", ROUTES, ids=lambda path: path.parent.name)
def test_routes_decide_nothing(path: Path) -> None:
    for function in functions(path):
        body = [part for part in function.body if not is_docstring(part)]
        assert len(body) <= 6, function.name
        forbidden = (ast.If, ast.IfExp, ast.Try, ast.For, ast.While, ast.With, ast.Match, ast.Raise)
        for node in (inner for part in body for inner in ast.walk(part)):
            assert not isinstance(node, forbidden), function.name
            assert not (isinstance(node, ast.Name) and node.id in {"select", "insert", "update", "delete", "text"})


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_services_know_no_web_and_never_commit(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    imported = {name.split(".")[0] for node in ast.walk(tree) for name in imports(node)}

    assert imported.isdisjoint({"flask", "marshmallow", "werkzeug", "flask_smorest", "webargs"})
    if path.stem == "service" and path.parent.name != "auth":  # what must survive a refusal is committed apart there
        assert "commit" not in {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_imports_go_down_and_never_sideways() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


def test_everything_with_a_version_is_changed_behind_its_tag(app: Flask) -> None:
    changing = {operation: view for operation, view in views(app) if operation.startswith(("PATCH", "PUT", "DELETE"))}
    versioned = {str(mapper.local_table) for mapper in Base.registry.mappers if issubclass(mapper.class_, Versioned)}

    without_tag = {operation for operation, view in changing.items() if not mark(view, "etag")}

    assert {operation for operation in without_tag if not operation.startswith("DELETE")} == set()
    assert {operation for operation in without_tag if operation.split("/")[3] in versioned} == set()


def test_whatever_creates_or_moves_is_safe_to_repeat(app: Flask) -> None:
    posting = {operation: view for operation, view in views(app) if operation.startswith("POST")}
    repeatable = {operation for operation, view in posting.items() if house(view).get("idempotent")}

    showing_secrets = {operation for operation, view in posting.items() if house(view).get("shows_secret")}

    assert repeatable.isdisjoint(showing_secrets)  # a kept answer would keep the secret
    assert set(posting) - repeatable == {name for name in posting if "/auth/" in name} | showing_secrets


def test_every_login_is_limited(app: Flask) -> None:
    limited = {operation for operation, view in views(app) if house(view).get("limited")}

    posting = {operation for operation, _ in views(app) if operation.startswith("POST /api/v1/auth/")}
    assert posting - limited == {
        "POST /api/v1/auth/invitations",
        "POST /api/v1/auth/logout",
        "POST /api/v1/auth/second-factor",
        "POST /api/v1/auth/second-factor/recovery-codes",
    }
    assert limited >= {"POST /api/v1/api-keys", "POST /api/v1/api-keys/<uuid:key_id>/rotate"}


def test_no_list_sends_more_statements_when_it_is_longer(app: Flask, client: FlaskClient, make: Factory) -> None:
    paginated = [operation.split(" ")[1] for operation, view in views(app) if house(view).get("paginated")]
    lists = [path for path in paginated if "<" not in path]  # parts of one thing are counted where that is tested
    assert len(lists) >= 8
    admin = make.user()
    headers = make.headers(user=admin)
    for _ in range(3):
        make.reservation((make.item(stock=5), 1))
        order = make.order((make.item(stock=5), 1))
        make.shipment(order)
        make.return_(order)
        place = make.location()
        make.transfer((make.item(stock=5, at=place), 1), source=place, target=make.location())
        make.count(place)
        make.headers()
        client.post("/api/v1/api-keys", json={"name": "till", "scopes": ["items:read"]}, headers=headers)
        make.endpoint()
        make.notification(admin.id)
        jobs.start(make.session, "redeliver_webhooks", by=make.by)

    for path in lists:
        with counted() as few:
            client.get(f"{path}?limit=1", headers=headers)
        with counted() as many:
            rows = client.get(f"{path}?limit=200", headers=headers).get_json()["data"]
        assert len(rows) >= 3, path
        expected = STATEMENTS_OF_A_LIST + (path in LISTS_WITH_LINES)
        assert (len(few), len(many)) == (expected, expected), (path, many)


def test_layers_of_the_suite_mirror_the_house() -> None:
    domains = {path.parent.name for path in (PROJECT / "api").glob("*/service.py")}

    assert {name for name in domains if not (PROJECT / "tests" / name).is_dir()} == set()


def rules(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            if rule.endpoint != "static":
                yield method, rule.rule, rule


def views(app: Flask) -> Iterator[tuple[str, Any]]:
    """Tell the function behind every operation."""
    for method, path, rule in rules(app):
        view = app.view_functions[rule.endpoint]
        yield f"{method} {path}", getattr(getattr(view, "view_class", None), method.lower(), view)


def mark(view: Any, name: str) -> Any:  # whatever the decorators have noted
    return getattr(view, "_apidoc", {}).get(name)


def house(view: Any) -> dict[str, Any]:  # any view
    return mark(view, "house") or {}


def operations(app: Flask) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Tell the scopes every operation demands; None where it has no mark, or is marked as public."""
    for operation, view in views(app):
        yield operation, house(view).get("scopes")


def refusals() -> list[type[DomainError]]:
    """List every class of refusal that is defined in the product."""

    def below(kind: type[DomainError]) -> Iterator[type[DomainError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    return [refusal for refusal in below(DomainError) if refusal not in KINDS and refusal.__module__.startswith("api.")]


def constraint_name(constraint: Any) -> str:  # any constraint
    """Write out a name that is made by the naming convention."""
    columns = "_".join(column.name for column in getattr(constraint, "columns", ()))
    return str(constraint.name) if constraint.name else f"uq_{constraint.table.name}_{columns}"


def documented(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, members in document["paths"].items():
        for method, operation in members.items():
            if method != "parameters":
                yield f"{method.upper()} {path}", operation


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    found: Any = part
    while "$ref" in found:
        target: Any = document
        for key in found["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        found = target
    return dict(found)


def fields(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tell every field of a body, those of nested objects included."""
    schema = resolved(document, schema)
    for name, inner in schema.get("properties", {}).items():
        yield name, inner
        if "items" in inner:
            yield from fields(document, inner["items"])


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """Tell the views of a module: public functions and the methods of its classes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document, as it goes out."""
    rendered: dict[str, Any] = orjson.loads(orjson.dumps(render_document(app)))
    return rendered
