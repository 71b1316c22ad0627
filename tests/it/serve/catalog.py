# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""The catalog that harlequin shows, loaded by its own adapter: usage catalog.py URI."""

import sys

from harlequin_adbc import HarlequinAdbcAdapter

adapter = HarlequinAdbcAdapter((sys.argv[1],), driver_type="flightsql")
connection = adapter.connect()
[catalog] = connection.get_catalog().items
assert catalog.label == "datafusion", catalog
schemas = {schema.label: schema for schema in catalog.children}
tables = {table.label: table for table in schemas["public"].children}
columns = [column.label for column in tables["orders"].children]
assert "order_id" in columns, columns
assert "rfm_score" in [table.label for table in schemas["analyses"].children]
cursor = connection.execute("SELECT order_id FROM orders LIMIT 3")
assert len(cursor.fetchall()) == 3
