# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""SQLAlchemy over flightsql-dbapi, as Superset uses it: usage superset.py HOST PORT."""

import sys

import flightsql.sqlalchemy  # noqa: F401, registers the dialect
from sqlalchemy import create_engine, inspect, text

HOST, PORT = sys.argv[1:]
URL = f"datafusion+flightsql://{HOST}:{PORT}?insecure=true"

for url in [URL, URL + "&feature-sqlalchemy-prepared-statements=on"]:
    engine = create_engine(url)
    with engine.connect() as connection:
        # What Superset asks when a database is added, and when a chart is drawn.
        assert connection.execute(text("SELECT 1")).fetchall() == [(1,)]
        n = connection.execute(text("SELECT count(*) AS n FROM orders")).scalar()
        assert n == 500, n
        chart = text(
            "SELECT segment AS segment, sum(monetary) AS revenue FROM analyses.rfm_score "
            "GROUP BY segment ORDER BY revenue DESC NULLS LAST LIMIT 1000"
        )
        found = connection.execute(chart).fetchall()
        assert len(found) > 2 and found[0][0], found
    inspector = inspect(engine)
    schemas = inspector.get_schema_names()
    assert "public" in schemas and "analyses" in schemas, schemas
    tables = inspector.get_table_names("public")
    assert "orders" in tables, tables
    columns = {c["name"]: c for c in inspector.get_columns("orders", "public")}
    assert str(columns["order_id"]["type"]) == "TEXT", columns["order_id"]
    assert not columns["order_id"]["nullable"]
    engine.dispose()
