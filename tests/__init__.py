"""The test suite: real PostgreSQL, real Valkey, real HTTP where HTTP matters."""
