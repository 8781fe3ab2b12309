"""Durable state: the calls with their outbox, and the directory, each on SQLite or PostgreSQL."""
