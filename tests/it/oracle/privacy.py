# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""Questions under a threshold, against DuckDB with the threshold written out: privacy.py PACKAGES DATA ANSWERS."""

import datetime
import decimal
import json
import math
import pathlib
import sys

sys.path.insert(0, sys.argv[1])
import duckdb  # noqa: E402

connection = duckdb.connect()
for file in pathlib.Path(sys.argv[2]).glob("*.parquet"):
    connection.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM read_parquet('{file}')")


def plain(value):
    if value is None:
        return (0, "")
    if isinstance(value, (datetime.datetime, datetime.date)):
        value = value.isoformat()
    if isinstance(value, decimal.Decimal):
        value = float(value)
    try:
        return (1, float(value))
    except (TypeError, ValueError):
        return (2, str(value))


def same(a, b):
    if a[0] != b[0]:
        return False
    return math.isclose(a[1], b[1], rel_tol=1e-9) if a[0] == 1 else a[1] == b[1]


failed = 0
for case in json.loads(pathlib.Path(sys.argv[3]).read_text()):
    expected = sorted([plain(v) for v in row] for row in connection.execute(case["duckdb"]).fetchall())
    found = sorted([plain(v) for v in row] for row in case["rows"])
    fits = len(expected) == len(found) and all(
        len(e) == len(f) and all(same(a, b) for a, b in zip(e, f)) for e, f in zip(expected, found)
    )
    if not fits:
        failed += 1
        print(f"{case['sql']}\n  expected {expected}\n  found    {found}", file=sys.stderr)
sys.exit(1 if failed else 0)
