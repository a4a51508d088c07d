# syntax=docker/dockerfile:1

# docker build --tag stockroom .
#
# One image, one process per container:
#   docker run --rm --env-file stockroom.env stockroom flask db upgrade    migrations, before each new version
#   docker run --env-file stockroom.env --publish 8000:8000 stockroom      the API
#   docker run --env-file stockroom.env --no-healthcheck stockroom flask worker    background tasks
#
# DATABASE_URL, SECRET_KEY and JWT_KEYS_DIR (a mounted directory) must be set; the process refuses to start without.

FROM python:3.13-slim-bookworm AS build

ENV UV_CACHE_DIR=/var/cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never

RUN pip install --no-cache-dir uv==0.13.9

WORKDIR /build
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --locked --no-dev --no-group embedded --no-install-project


FROM python:3.13-slim-bookworm

ENV ENVIRONMENT=production \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --shell /usr/sbin/nologin stockroom

WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY gunicorn.conf.py wsgi.py ./
COPY migrations migrations
COPY api api

USER 10001:10001
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]

CMD ["gunicorn", "--config", "gunicorn.conf.py", "--bind", "0.0.0.0:8000", "wsgi:app"]
