"""Postgres and Redis as their exporters see them, and the pools of connections as the services do."""
from .board import *

ALL = f"{{{NAMESPACE}}}"
# Those that Postgres brings along say nothing.
DATABASES = f'{NAMESPACE},datname!~"template.*|"'

BOARD = board(
    "seawall-data", "Seawall / Postgres and Redis",
    "The servers that hold orders and queues. Locally the databases are SQLite files, and only the first row has data.",
    [
        row("As the services see it"),
        panel(
            "Connections in use", "Of each service's pools. As high as the pool for long means that requests wait for one.",
            query(f'sum by (job) (db_pool_connections{{{OURS},state="used"}})', "{{job}}"), width=12,
        ),
        panel(
            "Connections idle", "Open and ready for the next request.",
            query(f'sum by (job) (db_pool_connections{{{OURS},state="idle"}})', "{{job}}"), width=12,
        ),
        row("Postgres"),
        stat(
            "Postgres", "Whether its exporter can log in.", f"min(pg_up{ALL})", maps={"0": ("DOWN", RED), "1": ("UP", GREEN)},
            limits=(RED, (1, GREEN)), width=4, height=8, runbook="PostgresDown",
        ),
        panel(
            "Connections of the maximum", "At 100 % new replicas can't connect.",
            query(f"sum(pg_stat_activity_count{ALL}) / max(pg_settings_max_connections{ALL})", "of the maximum"),
            kind="gauge", unit="percentunit", limits=(GREEN, (0.7, YELLOW), (0.9, RED)), most=1, width=4,
        ),
        panel(
            "Transactions", "A second. Rolled back ones are retries, conflicts and errors.",
            query(f"sum by (datname) (rate(pg_stat_database_xact_commit{{{DATABASES}}}[$__rate_interval]))", "{{datname}}"),
            query(f"sum(rate(pg_stat_database_xact_rollback{{{DATABASES}}}[$__rate_interval]))", "rolled back"), unit="ops",
        ),
        panel(
            "Backends by state", "`idle in transaction` holds locks and does nothing.",
            query(f"sum by (state) (pg_stat_activity_count{ALL})", "{{state}}"), stack=True,
        ),
        panel(
            "Longest transaction", "A long one keeps dead rows from being cleaned up.",
            query(f"max by (datname) (pg_stat_activity_max_tx_duration{{{DATABASES}}})", "{{datname}}"), unit="s", limits=(GREEN, (60, RED)), width=6,
        ),
        panel(
            "Read from memory", "Share of blocks that Postgres had in its own memory.",
            query(
                f"sum(rate(pg_stat_database_blks_hit{{{DATABASES}}}[$__rate_interval]))"
                f" / (sum(rate(pg_stat_database_blks_hit{{{DATABASES}}}[$__rate_interval])) + sum(rate(pg_stat_database_blks_read{{{DATABASES}}}[$__rate_interval])))",
                "hit",
            ),
            unit="percentunit", limits=(RED, (0.9, GREEN)), most=1, width=6,
        ),
        panel(
            "Locks, deadlocks", "Locks held, by mode; deadlocks in the last 5 minutes.",
            query(f"sum by (mode) (pg_locks_count{{{DATABASES}}}) > 0", "{{mode}}"),
            query(f"sum(increase(pg_stat_database_deadlocks{{{DATABASES}}}[5m]))", "deadlocks"), width=6,
        ),
        panel("Size", "Of each database.", query(f"max by (datname) (pg_database_size_bytes{{{DATABASES}}})", "{{datname}}"), unit="bytes", width=6),
        panel(
            "Scrape of the exporter", "It asks Postgres; slow answers are an early sign.",
            query(f'max by (job) (scrape_duration_seconds{{{NAMESPACE},job=~"postgres|redis"}})', "{{job}}"),
            unit="s", limits=(GREEN, (2, RED)), width=24, height=6, runbook="PostgresExporterHighScrapeLatency",
        ),
        row("Redis"),
        stat(
            "Redis", "Whether its exporter can log in.", f"min(redis_up{ALL})", maps={"0": ("DOWN", RED), "1": ("UP", GREEN)},
            limits=(RED, (1, GREEN)), width=4, height=8, runbook="RedisDown",
        ),
        stat(
            "Log written", "Whether the last write to the append-only file succeeded: what isn't there is lost with a crash.",
            f"min(redis_aof_last_write_status{ALL})", maps={"0": ("FAILED", RED), "1": ("OK", GREEN)}, limits=(RED, (1, GREEN)), width=4, height=8,
        ),
        panel(
            "Memory", "Against `maxmemory`, where one is set: at it, jobs are refused and wait in the outbox.",
            query(f"max(redis_memory_used_bytes{ALL})", "used"), query(f"max(redis_memory_max_bytes{ALL}) > 0 or max(redis_memory_used_peak_bytes{ALL})", "limit, or peak where there is none"),
            unit="bytes", runbook="RedisDown",
        ),
        panel("Commands", "A second, the most frequent ones.", query(f"topk(8, sum by (cmd) (rate(redis_commands_total{ALL}[$__rate_interval])))", "{{cmd}}"), unit="ops"),
        panel(
            "Time of a command", "Mean, of those that Redis spent most time on.",
            query(
                f"topk(8, sum by (cmd) (rate(redis_commands_duration_seconds_total{ALL}[$__rate_interval])) / sum by (cmd) (rate(redis_commands_total{ALL}[$__rate_interval]) > 0))",
                "{{cmd}}",
            ),
            unit="s",
        ),
        panel(
            "Clients", "Connected; blocked ones wait for jobs, as workers should.",
            query(f"sum(redis_connected_clients{ALL})", "connected"), query(f"sum(redis_blocked_clients{ALL})", "blocked"),
        ),
        panel(
            "Keys, evictions", "An evicted key would be a lost job: `noeviction` keeps that at 0.",
            query(f"sum(redis_db_keys{ALL})", "keys"), query(f"sum(increase(redis_evicted_keys_total{ALL}[5m]))", "evicted in 5 minutes"),
        ),
    ],
)
