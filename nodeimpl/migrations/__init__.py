"""Migrations of the node's database: Alembic, loaded only where a schema differs."""
