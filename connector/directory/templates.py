"""Which row of the copy is the organisation's notification template, and which of its columns count: one rule, for the
call and for the check of prerequisites."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from connector.store.directory_schema import templates

_WITH_TITLE = select(templates).where(templates.c.title == bindparam("title")).order_by(templates.c.id).limit(1)


@dataclass(frozen=True)
class Template:
    """The notification template: subject and body, each XSLT, or HTML, or empty."""

    subject: str
    body: str


def with_title(connection: Connection, title: str) -> Template | None:
    """The template with a title; of several the first by id, since no copy has precedence."""
    row = connection.execute(_WITH_TITLE, {"title": title}).one_or_none()
    return Template(row.subject or "", row.body or row.html or "") if row else None
