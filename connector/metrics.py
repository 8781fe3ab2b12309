"""Counters and timings for `/metrics`. Labels come from closed lists of our own: never a name, number or address."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
"""Processor time, memory and open files of this process, where the system is Linux."""

deliveries = Counter(
    "emergency_deliveries_total", "Webhook deliveries by sender and outcome", ["sender", "outcome"], registry=REGISTRY
)
decisions = Counter(
    "emergency_decisions_total", "What was decided or dropped, by name", ["decision"], registry=REGISTRY
)
effects = Counter("emergency_effects_total", "Effects by kind and outcome", ["kind", "outcome"], registry=REGISTRY)
effect_seconds = Histogram(
    "emergency_effect_seconds", "From asking for an effect to its being done", ["kind"], registry=REGISTRY
)
recipients_skipped = Counter(
    "emergency_recipients_skipped_total", "Recipient entries that are no valid address", registry=REGISTRY
)
delivery_reports = Counter(
    "emergency_delivery_reports_total", "Delivery reports of the mail service by status", ["status"], registry=REGISTRY
)
pool_free = Gauge("emergency_pool_free_numbers", "Free callback numbers", ["country"], registry=REGISTRY)
directory_age = Gauge("emergency_directory_age_seconds", "Since the last complete sync", ["table"], registry=REGISTRY)
sync_failures = Counter(
    "emergency_sync_failures_total", "Syncs that ended with an error, by its kind", ["kind"], registry=REGISTRY
)
sync_rows = Counter("emergency_sync_rows_total", "Rows read from Dataverse", ["table"], registry=REGISTRY)
statements = Counter(
    "emergency_store_statements_total", "SQL statements, without those that begin and end", ["store"], registry=REGISTRY
)
transactions = Counter("emergency_store_transactions_total", "Transactions begun", ["store"], registry=REGISTRY)
