# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""The calls of the JDBC driver (DBeaver) and of Power BI's connector, in their order, over pyarrow.flight.

Usage drivers.py URI.
"""

import struct

import pyarrow as pa
import pyarrow.flight as flight

from messages import SQL, action, any_of, ask, bind, client, close, execute_update, field, message, packed, prepare, read, varint


def metadata():
    """What DBeaver loads when a connection is opened and a tree is unfolded."""
    names = {f.type for f in client.list_actions()}
    assert {"CreatePreparedStatement", "CancelFlightInfo", "SetSessionOptions", "CloseSession"} <= names, names
    assert list(client.list_flights()) == []
    catalogs = ask("CommandGetCatalogs")
    assert catalogs.schema.field("catalog_name").nullable is False
    assert catalogs.column("catalog_name").to_pylist() == ["datafusion"]
    # A catalog that is not given is every catalog.
    schemas = ask("CommandGetDbSchemas")
    assert {"analyses", "public", "sys"} <= set(schemas.column("db_schema_name").to_pylist())
    assert schemas.schema.field("catalog_name").nullable and not schemas.schema.field("db_schema_name").nullable
    assert ask("CommandGetDbSchemas", (2, "pub%")).num_rows == 1
    assert ask("CommandGetDbSchemas", (1, ""), (2, "pub%")).num_rows == 0
    tables = ask("CommandGetTables")
    assert tables.schema.names == ["catalog_name", "db_schema_name", "table_name", "table_type"]
    names = tables.column("table_name").to_pylist()
    assert "orders" in names and "rfm_score" in names and "best_customers" in names
    with_schema = ask("CommandGetTables", (1, "datafusion"), (2, "public"), (3, "orders"), (4, "TABLE"), (5, True))
    [row] = with_schema.to_pylist()
    columns = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
    meta = columns.field("order_id").metadata
    assert meta[b"ARROW:FLIGHT:SQL:TYPE_NAME"] == b"VARCHAR", meta
    assert meta[b"ARROW:FLIGHT:SQL:TABLE_NAME"] == b"orders" and meta[b"ARROW:FLIGHT:SQL:REMARKS"], meta
    assert not columns.field("order_id").nullable
    # `_` is any one character, unless it is escaped.
    assert ask("CommandGetTables", (3, "order\\_items")).num_rows == 0 or "order_items" in names
    assert ask("CommandGetTables", (3, "o_ders")).num_rows == 1
    assert ask("CommandGetTables", (4, "SYSTEM TABLE")).num_rows == 0
    assert ask("CommandGetTables", (3, "orders"), (4, "BASE TABLE")).num_rows == 1
    assert ask("CommandGetTableTypes").column("table_type").to_pylist() == ["TABLE", "VIEW"]
    everything = ask("CommandGetTables", (5, True))
    for row in everything.to_pylist():
        for column in pa.ipc.read_schema(pa.py_buffer(row["table_schema"])):
            assert column.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"] in TYPES, (row["table_name"], column)


def keys():
    execute_update("CREATE TABLE keyed (id BIGINT, word VARCHAR, PRIMARY KEY (id)) AS VALUES (1, 'a')")
    primary = ask("CommandGetPrimaryKeys", (3, "keyed")).to_pylist()
    assert [(k["column_name"], k["key_sequence"]) for k in primary] == [("id", 1)], primary
    assert ask("CommandGetPrimaryKeys", (3, "orders")).num_rows == 0
    for name in ["CommandGetExportedKeys", "CommandGetImportedKeys"]:
        found = ask(name, (3, "keyed"))
        assert found.num_rows == 0 and found.schema.names[8:11] == ["key_sequence", "fk_key_name", "pk_key_name"]
    assert ask("CommandGetCrossReference", (3, "keyed"), (6, "orders")).num_rows == 0
    execute_update("DROP TABLE keyed")


def infos():
    everything = ask("CommandGetSqlInfo")
    found = dict(zip(everything.column("info_name").to_pylist(), everything.column("value").to_pylist()))
    wanted = set(range(0, 12)) | {100, 101} | set(range(500, 577))
    assert set(found) == wanted, set(found) ^ wanted
    assert found[0] == "Comptoir" and found[504] == '"' and found[8] == 0, found
    assert "SELECT" in found[508] and "abs" in found[509] and "upper" in found[510] and "date_trunc" in found[512]
    some = ask("CommandGetSqlInfo", (1, message() or varint(0) + varint(8)))
    assert some.column("info_name").to_pylist() == [0, 8], some


def union(*values):
    """Values as the JDBC driver sends them where the type is not known: a dense union."""
    kinds = [("string", pa.string(), str), ("bytes", pa.binary(), bytes), ("bigint", pa.int64(), int), ("double", pa.float64(), float)]
    types, offsets, children = [], [], [[] for _ in kinds]
    for value in values:
        kind = next(i for i, (_, _, python) in enumerate(kinds) if isinstance(value, python))
        types.append(kind)
        offsets.append(len(children[kind]))
        children[kind].append(value)
    arrays = [pa.array(child, data_type) for child, (_, data_type, _) in zip(children, kinds)]
    return pa.UnionArray.from_dense(pa.array(types, pa.int8()), pa.array(offsets, pa.int32()), arrays, [k[0] for k in kinds])


def jdbc():
    """Statement.executeQuery, PreparedStatement with its parameters, and executeUpdate."""
    # Every statement of the JDBC driver is prepared first.
    handle, columns, parameters = prepare("SELECT order_id, net_sales FROM net_sales() WHERE net_sales > ? AND order_id <> ?")
    assert columns.names == ["order_id", "net_sales"] and len(parameters) == 2, parameters
    batch = pa.record_batch([union(10), union("none")], ["1", "2"])
    bind("CommandPreparedStatementQuery", handle, batch)
    got = ask("CommandPreparedStatementQuery", (1, handle))
    assert got.num_rows > 0 and got.schema.equals(columns, check_metadata=True), (got.schema, columns)
    # Bound again, under the same handle.
    bind("CommandPreparedStatementQuery", handle, pa.record_batch([union(1e15), union("none")], ["1", "2"]))
    assert ask("CommandPreparedStatementQuery", (1, handle)).num_rows == 0
    close(handle)
    close(handle)
    # A type that the statement does not say is a union of what drivers have.
    handle, columns, parameters = prepare("SELECT ? AS x")
    assert pa.types.is_union(parameters.field(0).type), parameters
    bind("CommandPreparedStatementQuery", handle, pa.record_batch([union("é")], ["1"]))
    assert ask("CommandPreparedStatementQuery", (1, handle)).to_pylist() == [{"x": "é"}]
    # Some drivers fetch by the handle itself.
    assert client.do_get(flight.Ticket(packed("CommandPreparedStatementQuery", (1, handle)))).read_all().num_rows == 1
    close(handle)
    # A statement without columns is an update to the driver.
    handle, columns, _ = prepare("CREATE TABLE made (id BIGINT, word VARCHAR)")
    assert len(columns) == 0, columns
    assert bind("CommandPreparedStatementUpdate", handle, pa.record_batch([], [])) is not None
    handle, columns, parameters = prepare("INSERT INTO made VALUES (?, ?)")
    assert len(columns) == 0 and len(parameters) == 2, columns
    batch = pa.record_batch([union(1, 2, 3), union("a", "b", "c")], ["1", "2"])
    assert bind("CommandPreparedStatementUpdate", handle, batch)[1] == [3]
    assert execute_update("INSERT INTO made SELECT id + 10, word FROM made") == 3
    got = ask("CommandStatementQuery", (1, "SELECT count(*) AS n, sum(id) AS s FROM made"))
    assert got.to_pylist() == [{"n": 6, "s": 42}], got
    execute_update("DROP TABLE made")


def power_bi():
    """The connector reads SqlInfo, the types, the tree, then the columns of each table it shows."""
    infos()
    types = ask("CommandGetXdbcTypeInfo")
    assert types.num_rows == len(TYPES)
    varchar = ask("CommandGetXdbcTypeInfo", (1, 12))
    assert "VARCHAR" in varchar.column("type_name").to_pylist(), varchar
    preview = ask("CommandStatementQuery", (1, 'select "order_id", "net_sales" from "datafusion"."public"."sales_view" limit 200'))
    for column in preview.schema:
        assert column.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"] in TYPES, column


def tickets():
    """A ticket is signed and dated; what changes something is run before there is one."""
    execute_update("CREATE TABLE once (n BIGINT)")
    count = lambda: ask("CommandStatementQuery", (1, "SELECT count(*) AS n FROM once")).to_pylist()[0]["n"]
    descriptor = flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, "INSERT INTO once VALUES (1)")))
    handle, _, _ = prepare("INSERT INTO once VALUES (1)")
    assert len(client.get_schema(descriptor).schema) == 0
    assert count() == 0, "asking for the schema, or preparing, has run it"
    info = client.get_flight_info(descriptor)
    assert count() == 1, "a client that fetches nothing has lost it"
    ticket = info.endpoints[0].ticket
    for _ in range(2):
        assert client.do_get(ticket).read_all().num_rows == 0
    assert count() == 1, "fetching has run it"
    [body] = action("CancelFlightInfo", message((1, info.serialize())))
    assert read(body)[1] == [3], "it has ended"
    # Asked for again it is run again; and what it says of itself is kept for those who fetch, however often.
    descriptor = flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, "EXPLAIN ANALYZE INSERT INTO once VALUES (1)")))
    info = client.get_flight_info(descriptor)
    said = client.do_get(info.endpoints[0].ticket).read_all()
    assert said.num_rows > 0 and said.equals(client.do_get(info.endpoints[0].ticket).read_all()), said
    assert count() == 2
    # A prepared one is run each time that it is executed.
    for n in (3, 4):
        client.get_flight_info(flight.FlightDescriptor.for_command(packed("CommandPreparedStatementQuery", (1, handle))))
        assert count() == n
    close(handle)
    # One that fails says so at once.
    try:
        client.get_flight_info(flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, "CREATE TABLE once (n BIGINT)"))))
        raise AssertionError("a table was made twice")
    except pa.ArrowInvalid as error:
        assert "already exists" in str(error), error
    execute_update("DROP TABLE once")
    changed = bytearray(ticket.ticket)
    changed[-1] ^= 1
    try:
        client.do_get(flight.Ticket(bytes(changed))).read_all()
        raise AssertionError("a changed ticket was taken")
    except pa.ArrowInvalid as error:
        assert "not one of this server's" in str(error), error
    # A query's ticket is good for more than one time.
    info = client.get_flight_info(flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, "SELECT 7 AS n"))))
    for _ in range(2):
        assert client.do_get(info.endpoints[0].ticket).read_all().to_pylist() == [{"n": 7}]
    renewed = action("RenewFlightEndpoint", message((1, info.endpoints[0].serialize())))
    assert len(renewed) == 1 and read(renewed[0])[1], renewed
    [body] = action("CancelFlightInfo", message((1, info.serialize())))
    assert read(body)[1] == [3], "it has ended"
    # Cancelled before it is fetched, it never runs.
    info = client.get_flight_info(flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, "SELECT 7 AS n"))))
    [body] = action("CancelFlightInfo", message((1, info.serialize())))
    assert read(body)[1] == [1], body
    try:
        client.do_get(info.endpoints[0].ticket).read_all()
        raise AssertionError("a cancelled ticket was taken")
    except flight.FlightCancelledError:
        pass
    info = client.get_flight_info(flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, "SELECT 8 AS n"))))
    [body] = action("CancelQuery", packed("ActionCancelQueryRequest", (1, info.serialize())))
    name, fields = any_of(body)
    assert name == "ActionCancelQueryResult" and fields[1] == [1], fields


def sessions():
    def option(name, value):
        return field(1, message((1, name), (2, value)))

    text = lambda value: message((1, value))
    [body] = action("SetSessionOptions", option("schema", text("analyses")) + option("timezone", text("+01:00")))
    assert read(body) == {}, body
    [body] = action("GetSessionOptions", b"")
    got = {read(o)[1][0].decode(): read(read(o)[2][0])[1][0].decode() for o in read(body)[1]}
    assert got["schema"] == "analyses" and got["catalog"] == "datafusion" and got["timezone"] == "+01:00", got
    assert ask("CommandStatementQuery", (1, "SELECT count(*) AS n FROM rfm_score")).to_pylist()[0]["n"] > 0
    number = struct.pack("<q", 5)
    wrong = option("nonsense", text("x")) + option("schema", text("nowhere")) + field(
        1, message((1, "datafusion.runtime.memory_limit"), (2, varint(3 << 3 | 1) + number))
    )
    [body] = action("SetSessionOptions", wrong)
    errors = {read(e)[1][0].decode(): read(read(e)[2][0])[1][0] for e in read(body)[1]}
    assert errors["nonsense"] == 1 and errors["schema"] == 2, errors
    assert "datafusion.runtime.memory_limit" in errors, errors
    # An empty value takes an option back.
    action("SetSessionOptions", option("schema", b""))
    assert ask("CommandStatementQuery", (1, "SELECT count(*) AS n FROM orders")).to_pylist() == [{"n": 500}]
    [body] = action("CloseSession", b"")
    assert read(body)[1] == [1], body


def quiet():
    """A client hears from us while a query thinks: batches of no rows, which clients can read."""
    slow = "SELECT sum(a.value * b.value % 7) AS s FROM generate_series(1, 4000) AS a CROSS JOIN generate_series(1, 4000) AS b"
    info = client.get_flight_info(flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, slow))))
    sizes = [chunk.data.num_rows for chunk in client.do_get(info.endpoints[0].ticket)]
    assert sum(sizes) == 1 and sizes.count(0) >= 1, sizes


def listing():
    """Analyses are listed as far as the tables suffice for them, with the columns that they have over these tables."""

    def kind():
        rows = ask("CommandGetTables", (2, "analyses"), (3, "net_sales"), (5, True)).to_pylist()
        return pa.ipc.read_schema(pa.py_buffer(rows[0]["table_schema"])).field("order_id").type if rows else None

    assert kind() == pa.string()
    execute_update("DROP TABLE orders")
    assert kind() is None
    for value, data_type in [("1", pa.int64()), ("'a'", pa.string()), ("2", pa.int64())]:
        execute_update(
            f"CREATE OR REPLACE TABLE orders AS SELECT {value} AS order_id, 'c' AS customer_id, "
            "TIMESTAMP '2026-01-01' AS created_timestamp, 5.0 AS net_sales"
        )
        assert kind() == data_type, (value, kind())


TYPES = set()
TYPES = {name.encode() for name in ask("CommandGetXdbcTypeInfo").column("type_name").to_pylist()}
metadata()
execute_update("CREATE VIEW sales_view AS SELECT * FROM net_sales()")
jdbc()
power_bi()
keys()
tickets()
sessions()
quiet()
execute_update("DROP VIEW sales_view")
listing()
