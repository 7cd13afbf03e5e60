"""A worker on connections as the README makes them; which, is the argument.

Run by python.sh, with the README's block in snippet.py.
"""

import sys
from pathlib import Path
from typing import Any

import tasker_checkpoint_client

# of the workers of the block, and one more
WANTED = {"token": 0, "pool": 1, "django": 2, "sqlalchemy": 3}

failures = 1
workers: list[Any] = []
names: dict[str, Any] = {}


def worker(*values: Any, **options: Any) -> None:
    """Note what the block makes."""
    options |= {"retry_delay": 0.01, "name": sys.argv[1]}
    workers.append(tasker_checkpoint_client.Worker(*values, **options))


def connect(conninfo: str, password: str) -> Any:
    """Connect to our server in place of the README's."""
    assert (conninfo, password) == ("host=db dbname=app", "token")
    return tasker_checkpoint_client.connect("dbname=app")


def by_cursor(context: Any, batch: list[Any]) -> None:
    """Write on the worker's connection."""
    with context.connection.cursor() as cursor:
        cursor.executemany("INSERT INTO invoices VALUES (%s, %s)", batch)


def by_orm(_: Any, batch: list[Any]) -> None:
    """Write by Django, which knows nothing of the worker."""
    (order, amount), *others = batch
    Invoice.objects.create(order_id=order, amount=amount)
    with django.db.connection.cursor() as cursor:
        cursor.executemany("INSERT INTO invoices VALUES (%s, %s)", others)


write = by_cursor


def handle(context: Any) -> None:
    """Fail once with a batch written, which then must not be there."""
    global failures
    orders = "SELECT id, amount FROM orders"
    for batch in context.iterate(orders, key="id", every=4_000):
        write(context, batch)
        if context.sequence == 2 and failures:
            failures -= 1
            raise RuntimeError("told to fail")


match sys.argv[1]:
    case "pool":
        import psycopg_pool

        names["pool"] = psycopg_pool.ConnectionPool("dbname=app")
    case "sqlalchemy":
        import sqlalchemy

        names["engine"] = sqlalchemy.create_engine("postgresql+psycopg:///app")
    case "django":
        import django.db
        from django.conf import settings

        settings.configure(
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": "app",
                }
            }
        )
        django.setup()
        names["django"] = django

        class Invoice(django.db.models.Model):
            """The README's table, whose rows have no key of their own."""

            order_id = django.db.models.BigIntegerField(primary_key=True)
            amount = django.db.models.BigIntegerField()

            class Meta:
                app_label = "app"
                db_table = "invoices"

        write = by_orm

names |= {"Worker": worker, "connect": connect, "new_token": lambda: "token"}
if "pool" not in names:
    # named by the block, and not used here
    names["pool"] = type("Pool", (), {"getconn": None, "putconn": None})
exec(Path("snippet.py").read_text(), names)
if sys.argv[1] == "sqlalchemy":
    worker(names["from_sqlalchemy"])
workers[WANTED[sys.argv[1]]].run(handle, exit_when_idle=1)
assert not failures
