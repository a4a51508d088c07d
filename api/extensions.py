"""Flask extensions, not yet bound to an application."""

from __future__ import annotations

from pathlib import Path

from flask import g
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from api.core.orm import Base

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})
migrate = Migrate(directory=str(MIGRATIONS), compare_type=True)
jwt = JWTManager()
limiter = Limiter(key_func=lambda: str(g.network))
cors = CORS()
