"""The first tables of the directory."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.store.columns import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "acs_numbers",
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("calling", sa.String(length=20), nullable=False),
        sa.Column("number_type", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "agent_statuses",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=True),
        sa.Column("presence_id", sa.String(length=36), nullable=True),
        sa.Column("logged_in", sa.Boolean(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_agent_statuses_agent_id"), "agent_statuses", ["agent_id"], unique=False)
    op.create_index(op.f("ix_agent_statuses_generation"), "agent_statuses", ["generation"], unique=False)
    op.create_index(op.f("ix_agent_statuses_presence_id"), "agent_statuses", ["presence_id"], unique=False)
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("identity", sa.String(length=36), nullable=True),
        sa.Column("country_name", sa.String(length=120), nullable=True),
        sa.Column("recipients", sa.Text(), nullable=True),
        sa.Column("phone_number_id", sa.String(length=36), nullable=True),
        sa.Column("mailbox_id", sa.String(length=36), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=True),
        sa.Column("access_mode", sa.Integer(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_agents_generation"), "agents", ["generation"], unique=False)
    op.create_index(op.f("ix_agents_mailbox_id"), "agents", ["mailbox_id"], unique=False)
    op.create_index(op.f("ix_agents_phone_number_id"), "agents", ["phone_number_id"], unique=False)
    op.create_table(
        "capacity_profiles",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_capacity_profiles_generation"), "capacity_profiles", ["generation"], unique=False)
    op.create_table(
        "mailboxes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("outgoing_method", sa.Integer(), nullable=True),
        sa.Column("outgoing_enabled", sa.Boolean(), nullable=True),
        sa.Column("outgoing_status", sa.Integer(), nullable=True),
        sa.Column("approval", sa.Integer(), nullable=True),
        sa.Column("approved_by_admin", sa.Boolean(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_mailboxes_generation"), "mailboxes", ["generation"], unique=False)
    op.create_table(
        "phone_numbers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.String(length=100), nullable=True),
        sa.Column("country", sa.String(length=10), nullable=True),
        sa.Column("outbound_enabled", sa.Boolean(), nullable=True),
        sa.Column("source", sa.Integer(), nullable=True),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_phone_numbers_generation"), "phone_numbers", ["generation"], unique=False)
    op.create_table(
        "presences",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("base_status", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_presences_generation"), "presences", ["generation"], unique=False)
    op.create_table(
        "resource_profiles",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=True),
        sa.Column("profile_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_resource_profiles_generation"), "resource_profiles", ["generation"], unique=False)
    op.create_index(op.f("ix_resource_profiles_profile_id"), "resource_profiles", ["profile_id"], unique=False)
    op.create_index(op.f("ix_resource_profiles_resource_id"), "resource_profiles", ["resource_id"], unique=False)
    op.create_table(
        "resources",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=True),
        sa.Column("resource_type", sa.Integer(), nullable=True),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_resources_agent_id"), "resources", ["agent_id"], unique=False)
    op.create_index(op.f("ix_resources_generation"), "resources", ["generation"], unique=False)
    op.create_table(
        "sip_routing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trunks", sa.Integer(), nullable=False),
        sa.Column("routes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sync_progress",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("next_link", sa.Text(), nullable=True),
        sa.Column("delta_link", sa.Text(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("completed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "templates",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("language", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_templates_generation"), "templates", ["generation"], unique=False)
    op.create_index(op.f("ix_templates_title"), "templates", ["title"], unique=False)
    op.create_table(
        "voice_channels",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("work_stream_id", sa.String(length=36), nullable=True),
        sa.Column("phone_number_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_voice_channels_generation"), "voice_channels", ["generation"], unique=False)
    op.create_index(op.f("ix_voice_channels_phone_number_id"), "voice_channels", ["phone_number_id"], unique=False)
    op.create_index(op.f("ix_voice_channels_work_stream_id"), "voice_channels", ["work_stream_id"], unique=False)
    op.create_table(
        "work_stream_profiles",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("work_stream_id", sa.String(length=36), nullable=True),
        sa.Column("profile_id", sa.String(length=36), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_work_stream_profiles_generation"), "work_stream_profiles", ["generation"], unique=False)
    op.create_index(op.f("ix_work_stream_profiles_profile_id"), "work_stream_profiles", ["profile_id"], unique=False)
    op.create_index(
        op.f("ix_work_stream_profiles_work_stream_id"), "work_stream_profiles", ["work_stream_id"], unique=False
    )
    op.create_table(
        "work_streams",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("direction", sa.Integer(), nullable=True),
        sa.Column("stream_source", sa.Integer(), nullable=True),
        sa.Column("state", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_work_streams_generation"), "work_streams", ["generation"], unique=False)
