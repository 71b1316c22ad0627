# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""What a program does over ADBC: usage adbc.py URI."""

import datetime
import decimal
import sys
import threading
import time

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import pyarrow as pa

URI = sys.argv[1]
LONG = "SELECT sum(a.value * b.value % 7) FROM generate_series(1, 200000) AS a CROSS JOIN generate_series(1, 200000) AS b"


def connect(**options):
    options = {"adbc.flight.sql.rpc.with_cookie_middleware": "true", **options}
    return dbapi.connect(URI, db_kwargs=options, autocommit=True)


def rows(cursor, sql, parameters=None):
    cursor.execute(sql, parameters)
    return cursor.fetchall()


def fails(action, *words):
    try:
        action()
    except adbc_driver_manager.Error as error:
        for word in words:
            assert word in str(error), f"{word!r} is not in {error}"
        return error
    raise AssertionError(f"did not fail: {words}")


def reading(cursor):
    cursor.execute("SELECT order_id, net_sales, created_timestamp FROM net_sales() ORDER BY order_id LIMIT 7")
    table = cursor.fetch_arrow_table()
    assert table.num_rows == 7, table
    assert table.schema.field("order_id").type == pa.string(), table.schema
    assert pa.types.is_decimal128(table.schema.field("net_sales").type), table.schema
    # An empty result has its columns all the same.
    cursor.execute("SELECT order_id FROM orders WHERE 1 = 0")
    assert cursor.fetch_arrow_table().schema.names == ["order_id"]
    # Many batches, and every row of them.
    [(count, total)] = rows(cursor, "SELECT count(*), sum(value) FROM (SELECT * FROM generate_series(1, 100000))")
    assert (count, total) == (100000, 5000050000)
    cursor.execute("SELECT value FROM generate_series(1, 100000)")
    values = cursor.fetch_arrow_table().column("value")
    assert len(values) == 100000 and sum(values.to_pylist()) == 5000050000


def one_schema(cursor):
    """ExecuteSchema, prepare and the rows promise the same, nullability included."""
    for sql in [
        "SELECT * FROM orders",
        "SELECT customer_id, count(*) AS n, 'x' AS word, 1 AS one, NULL AS nothing FROM orders GROUP BY customer_id",
        "SELECT * FROM analyses.rfm_score",
        "SELECT * FROM best_customers",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
    ]:
        promised = cursor.adbc_execute_schema(sql)
        cursor.execute(sql)
        kept = cursor.fetch_arrow_table().schema
        assert kept.equals(promised), f"{sql}\n{promised}\n{kept}"
        for a, b in zip(promised, kept):
            assert a.nullable == b.nullable, (sql, a, b)


def parameters(cursor):
    moment = datetime.datetime(2024, 2, 29, 12, 30, 1, 250000)
    utc = moment.replace(tzinfo=datetime.timezone.utc)
    for value in [
        5, -(2**63), 2.5, 1e300, True, "it's \\ \"$1\" — ü", "", datetime.date(2024, 2, 29), moment, utc,
        datetime.time(23, 59, 58, 7), decimal.Decimal("-12345678901234.5678"), b"\x00\xff'",
    ]:
        [(back,)] = rows(cursor, "SELECT ? AS back", (value,))
        assert back == value and type(back) is type(value), (value, back)
    assert rows(cursor, "SELECT ? IS NULL", (None,)) == [(True,)]
    # By number, used twice, and in the order of the text.
    assert rows(cursor, "SELECT $2 - $1, $1", (1, 10)) == [(9, 1)]
    assert rows(cursor, "SELECT a FROM (VALUES (?), (?)) AS t(a) WHERE a > ? LIMIT ?", (1, 2, 1, 5)) == [(2,)]
    # The constants of an analysis.
    [(n,)] = rows(cursor, "SELECT max(r_score) FROM rfm_score(orders, k => ?)", (3,))
    assert n == 3, n
    # A value is never bent to fit.
    assert rows(cursor, "SELECT count(*) FROM generate_series(1, 3) WHERE value = ?", (1.5,)) == [(0,)]
    fails(lambda: rows(cursor, "SELECT ? + ?", (1,)), "2 parameters")
    # A statement for each row of values.
    cursor.execute("CREATE TABLE bound (id BIGINT, word VARCHAR)")
    cursor.fetchall()
    cursor.executemany("INSERT INTO bound VALUES (?, ?)", [(i, f"w{i}") for i in range(5)])
    assert rows(cursor, "SELECT count(*), min(word), sum(id) FROM bound") == [(5, "w0", 10)]
    cursor.execute("DROP TABLE bound")
    cursor.fetchall()
    # Prepared once, run twice.
    cursor.adbc_prepare("SELECT CAST(? AS BIGINT) * 2")
    assert rows(cursor, "SELECT CAST(? AS BIGINT) * 2", (4,)) == [(8,)]
    assert rows(cursor, "SELECT CAST(? AS BIGINT) * 2", (5,)) == [(10,)]


def once(cursor):
    """What changes something happens exactly once, whether it is fetched or not."""
    cursor.adbc_execute_schema("CREATE TABLE counted AS SELECT 1 AS n")
    cursor.execute("CREATE TABLE counted AS SELECT 1 AS n")
    for i in range(4):
        cursor.execute("INSERT INTO counted VALUES (2)")
        if i % 2:
            cursor.fetchall()
        with connect() as other, other.cursor() as watcher:
            assert rows(watcher, "SELECT count(*) FROM counted") == [(2 + i,)], i
    cursor.executemany("INSERT INTO counted VALUES (?)", [(3,), (4,)])
    assert rows(cursor, "SELECT count(*), sum(n) FROM counted") == [(7, 16)]
    fails(lambda: cursor.execute("CREATE TABLE counted AS SELECT 1 AS n"), "already exists")
    cursor.execute("DROP TABLE counted")
    fails(lambda: rows(cursor, "SELECT * FROM counted"), "counted")


def objects(connection):
    def tree(depth, **filters):
        found = {}
        for catalog in connection.adbc_get_objects(depth=depth, **filters).read_all().to_pylist():
            schemas = found.setdefault(catalog["catalog_name"], {})
            for schema in catalog["catalog_db_schemas"] or []:
                tables = schemas.setdefault(schema["db_schema_name"], {})
                for table in schema["db_schema_tables"] or []:
                    tables[table["table_name"]] = table
        return found

    assert list(tree("catalogs")) == ["datafusion"]
    schemas = tree("db_schemas")["datafusion"]
    assert {"public", "analyses", "sys", "information_schema"} <= set(schemas), schemas
    tables = tree("tables")["datafusion"]
    assert tables["public"]["orders"]["table_type"] == "TABLE"
    assert tables["public"]["best_customers"]["table_type"] == "VIEW"
    assert tables["analyses"]["rfm_score"]["table_type"] == "VIEW"
    assert "queries" in tables["sys"]
    everything = tree("all")["datafusion"]
    columns = everything["analyses"]["rfm_score"]["table_columns"]
    by_name = {column["column_name"]: column for column in columns}
    assert columns[0]["column_name"] == "customer_id", columns[0]
    assert by_name["segment"]["xdbc_type_name"] == "VARCHAR", by_name["segment"]
    assert by_name["segment"]["ordinal_position"] == 10, by_name["segment"]
    some = tree("tables", db_schema_filter="pub%", table_name_filter="order%", table_types_filter=["TABLE"])
    assert "orders" in some["datafusion"]["public"] and "skus" not in some["datafusion"]["public"], some
    assert set(connection.adbc_get_table_types()) == {"TABLE", "VIEW"}
    schema = connection.adbc_get_table_schema("orders", db_schema_filter="public")
    assert schema.field("order_id").type == pa.string() and not schema.field("order_id").nullable, schema
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Comptoir", info


def ingesting(connection):
    cursor = connection.cursor()
    table = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "word": ["a", "b", None], "price": pa.array([decimal.Decimal("1.50")] * 3, pa.decimal128(9, 2))})
    assert cursor.adbc_ingest("brought", table, mode="create") == 3
    fails(lambda: cursor.adbc_ingest("brought", table, mode="create"), "exists already")
    # Other order, other types, a column left out: found by name.
    more = pa.table({"word": ["d"], "id": pa.array([4], pa.int32())})
    assert cursor.adbc_ingest("brought", more, mode="append") == 1
    assert rows(cursor, "SELECT * FROM brought WHERE id > 2 ORDER BY id") == [(3, None, decimal.Decimal("1.50")), (4, "d", None)]
    fails(lambda: cursor.adbc_ingest("brought", pa.table({"wrd": ["x"]}), mode="append"), "`wrd`", "`word`")
    fails(lambda: cursor.adbc_ingest("nowhere", table, mode="append"), "no table `nowhere`")
    assert cursor.adbc_ingest("brought", more, mode="replace") == 1
    assert rows(cursor, "SELECT count(*) FROM brought") == [(1,)]
    batches = pa.RecordBatchReader.from_batches(more.schema, (batch for _ in range(50) for batch in more.to_batches()))
    assert cursor.adbc_ingest("brought", batches, mode="create_append") == 50
    assert rows(cursor, "SELECT count(*) FROM brought") == [(51,)]
    cursor.execute("DROP TABLE brought")
    cursor.fetchall()


def cancelling(connection):
    cursor = connection.cursor()
    other = connect().cursor()

    def stop():
        deadline = time.monotonic() + 30
        while not rows(other, "SELECT 1 FROM sys.queries WHERE state = 'running' AND sql LIKE '%CROSS JOIN%'"):
            assert time.monotonic() < deadline, "the query never ran"
            time.sleep(0.05)
        cursor.adbc_cancel()

    stopper = threading.Thread(target=stop)
    stopper.start()

    def run():
        cursor.execute(LONG)
        cursor.fetchall()

    fails(run)
    stopper.join()
    deadline = time.monotonic() + 30
    while rows(other, "SELECT 1 FROM sys.queries WHERE state = 'running' AND sql LIKE '%CROSS JOIN%'"):
        assert time.monotonic() < deadline, "the query goes on after it was cancelled"
        time.sleep(0.05)
    # The connection lives on.
    assert rows(connection.cursor(), "SELECT 1") == [(1,)]


def sessions():
    one, two = connect(), connect()
    with one, two:
        rows(one.cursor(), "SET datafusion.execution.time_zone = '+02:00'")
        shown = "SELECT value FROM information_schema.df_settings WHERE name = 'datafusion.execution.time_zone'"
        assert rows(one.cursor(), shown) == [("+02:00",)]
        assert rows(two.cursor(), shown) != [("+02:00",)]
        one.adbc_connection.set_options(**{"adbc.connection.db_schema": "analyses"})
        assert one.adbc_current_db_schema == "analyses", one.adbc_current_db_schema
        assert rows(one.cursor(), "SELECT count(*) > 0 FROM rfm_score") == [(True,)]
        fails(lambda: rows(two.cursor(), "SELECT count(*) FROM rfm_score"), "rfm_score")
        fails(lambda: one.adbc_connection.set_options(**{"adbc.connection.db_schema": "nowhere"}))


def errors(cursor):
    fails(lambda: rows(cursor, "SELECT orderid FROM orders"), "INVALID_ARGUMENT", "did you mean `order_id`", "^")
    fails(lambda: rows(cursor, "SELECT 1; SELECT 2"), "one statement")
    fails(lambda: rows(cursor, "-- nothing"), "no statement")
    fails(lambda: rows(cursor, "SELECT 1 / (value - value) FROM generate_series(1, 2)"), "zero")
    # A writer changes tables, and neither files nor what others share.
    fails(lambda: rows(cursor, "COPY orders TO '/tmp/never.csv'"), "cannot write files")
    fails(lambda: rows(cursor, "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'"), "files by their paths")
    fails(lambda: rows(cursor, "SELECT * FROM '/etc/passwd'"), "no table")
    fails(lambda: rows(cursor, "SET datafusion.runtime.memory_limit = '1G'"), "cannot change the setting")


with connect() as connection:
    with connection.cursor() as cursor:
        reading(cursor)
        one_schema(cursor)
        parameters(cursor)
        once(cursor)
        errors(cursor)
    objects(connection)
    ingesting(connection)
    cancelling(connection)
sessions()
