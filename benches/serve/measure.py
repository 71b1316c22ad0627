# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""What a client sees of a server's speed: usage measure.py do|rows|latency URI NAME SQL."""

import statistics
import sys
import time

import adbc_driver_flightsql.dbapi as dbapi

what, uri, name, sql = sys.argv[1:]
options = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"}
with dbapi.connect(uri, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
    if what == "do":
        cursor.execute(sql)
    elif what == "rows":
        best = 0
        for _ in range(5):
            start = time.perf_counter()
            cursor.execute(sql)
            rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
            best = max(best, rows / (time.perf_counter() - start))
        print(f"  {name:<26} {best / 1e6:8.2f} million rows a second (best of 5)")
    else:
        times = []
        for _ in range(2000):
            start = time.perf_counter()
            cursor.execute("SELECT 1")
            cursor.fetchall()
            times.append((time.perf_counter() - start) * 1e3)
        times = times[100:]
        cuts = statistics.quantiles(times, n=100)
        print(f"SELECT 1: median {cuts[49]:.2f} ms, 99th percentile {cuts[98]:.2f} ms")
        firsts = []
        for _ in range(20):
            start = time.perf_counter()
            cursor.execute(sql)
            next(iter(cursor.fetch_record_batch()))
            firsts.append((time.perf_counter() - start) * 1e3)
            connection.adbc_cancel() if hasattr(connection, "adbc_cancel") else None
        print(f"time to the first row of {sql}: median {statistics.median(firsts):.2f} ms")
