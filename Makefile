.DEFAULT_GOAL := help
.PHONY: help up test lint types migrate spec bench check audit browser provider cov format

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Start everything: embedded servers, migrations, API and worker
	uv run flask up

test: ## Run the tests, all but the browser's and those that need Node
	uv run pytest

lint: ## Check style, formatting and import contracts
	uv run ruff check
	uv run ruff format --check
	uv run lint-imports

types: ## Check the types
	uv run mypy

migrate: ## Bring the database to the newest revision
	uv run flask db upgrade

spec: ## Write docs/openapi.json from the code
	uv run flask spec

bench: ## Measure Stockroom beside FastAPI, PostgreSQL alone and the floor
	uv run --group bench python -m bench compare

check: lint types ## Run every check that is not a test, as CI does
	uv run bandit --quiet --configfile pyproject.toml --recursive api
	uv run hadolint Dockerfile
	uv run flask spec --check

audit: ## Look for known weaknesses in what is installed (asks the Internet)
	uv export --quiet --no-hashes --no-dev --no-emit-project --output-file .audit.txt
	uvx pip-audit --requirement .audit.txt --no-deps --disable-pip

browser: ## Run the tests that drive Chromium
	uv run pytest -m browser tests/e2e/test_browser.py

provider: ## Run the tests that need Node: a real OpenID provider, a subscriber of webhooks
	uv run pytest -m provider tests/oidc/test_real_provider.py tests/webhooks/test_subscriber.py

cov: ## Run the tests and demand 95 % branch coverage
	uv run pytest --cov

format: ## Format the code and fix what can be fixed
	uv run ruff format
	uv run ruff check --fix
