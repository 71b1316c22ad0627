# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""What no driver sends: messages that are none, statements without measure. Each has its answer, and the server goes on.

Usage hostile.py URI.
"""

import random

import pyarrow as pa
import pyarrow.flight as flight

from messages import SQL, action, ask, bind, client, message, packed, prepare


def refused(what, call, *words):
    try:
        call()
    # The client's own errors for INVALID_ARGUMENT and UNIMPLEMENTED.
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        text = str(error)
        assert all(word in text for word in words), f"{what}: {text}"
        return
    raise AssertionError(f"{what} was taken")


def info(command):
    return client.get_flight_info(flight.FlightDescriptor.for_command(command))


def got(ticket):
    return client.do_get(flight.Ticket(ticket)).read_all()


def put(command):
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(command), pa.schema([("a", pa.int64())]))
    with writer:
        writer.write_batch(pa.record_batch({"a": [1]}))
        writer.done_writing()
        reader.read()


chance = random.Random(5)
RUBBISH = [b"", b"\x00", b"\xff" * 40, b"SELECT 1", chance.randbytes(500), message((1, "type.googleapis.com/no.such.Message"), (2, b""))]
# A known command whose inside is cut off or of the wrong kind.
RUBBISH += [message((1, SQL + name), (2, inside)) for name in ["CommandStatementQuery", "CommandGetTables", "TicketStatementQuery"]
            for inside in [b"\x0a\xff", b"\x0a\x04\xff\xfe\xfd\xfc", b"\x08\x01"]]
for rubbish in RUBBISH:
    refused(f"GetFlightInfo {rubbish}", lambda: info(rubbish))
    refused(f"GetSchema {rubbish}", lambda: client.get_schema(flight.FlightDescriptor.for_command(rubbish)))
    refused(f"DoGet {rubbish}", lambda: got(rubbish))
    refused(f"DoPut {rubbish}", lambda: put(rubbish))
refused("a path", lambda: client.get_flight_info(flight.FlightDescriptor.for_path("orders")))
for name in ["CreatePreparedStatement", "ClosePreparedStatement", "CancelQuery", "CancelFlightInfo", "RenewFlightEndpoint", "SetSessionOptions",
             "BeginTransaction", "EndTransaction", "BeginSavepoint", "CreatePreparedSubstraitPlan", "NoSuchAction", ""]:
    for rubbish in [b"\xff" * 40, b"\x0a\xff", chance.randbytes(500)]:
        refused(f"{name} {rubbish}", lambda: action(name, rubbish))
# Handles and tickets that nobody was given.
for handle in [b"", b"\x00" * 32, chance.randbytes(300)]:
    refused("a ticket", lambda: got(packed("TicketStatementQuery", (1, handle))), "not one of this server's")
    refused("a handle", lambda: info(packed("CommandPreparedStatementQuery", (1, handle))), "not one of this server's")
    refused("a handle", lambda: got(packed("CommandPreparedStatementQuery", (1, handle))), "not one of this server's")
# What is for one thing is not for another.
handle, _, _ = prepare("SELECT ? + 1 AS n")
refused("a handle as a ticket", lambda: got(packed("TicketStatementQuery", (1, handle))), "not one of this server's")
ticket = info(packed("CommandStatementQuery", (1, "SELECT 1"))).endpoints[0].ticket.ticket
refused("a ticket as a command", lambda: info(ticket))
# Values that do not fit their statement.
for batch in [pa.record_batch({"a": ["x"], "b": ["y"]}), pa.record_batch({"a": pa.array([], pa.int64())}), pa.record_batch({"a": [[1, 2]]})]:
    bind("CommandPreparedStatementQuery", handle, batch)
    refused(f"{batch}", lambda: ask("CommandPreparedStatementQuery", (1, handle)))
refused("a transaction", lambda: info(packed("CommandStatementQuery", (1, "SELECT 1"), (2, b"t"))), "no transactions")
refused("substrait", lambda: info(packed("CommandStatementSubstraitPlan", (1, b""))))
refused("an exchange", lambda: client.do_exchange(flight.FlightDescriptor.for_command(b"x"))[1].read_chunk())


def ask_sql(sql):
    return ask("CommandStatementQuery", (1, sql))


# Long is no fault. Deep is, and is said, and does not use up the stack.
n = 20_000
assert ask_sql("SELECT " + "+".join(["1"] * 300) + " AS n").to_pylist() == [{"n": 300}]
assert ask_sql(f"SELECT count(*) AS n FROM orders WHERE order_id IN ({','.join(map(repr, map(str, range(n))))})").num_rows == 1
assert ask_sql(f"SELECT '{'x' * 3_000_000}' AS x").num_rows == 1
for deep in [
    "SELECT " + "(" * n + "1" + ")" * n,
    "SELECT " + "- " * n + "1",
    "SELECT " + "NOT " * n + "true",
    "SELECT " + "abs(" * n + "1" + ")" * n,
    "SELECT " + "CASE WHEN true THEN " * n + "1" + " END" * n,
    "SELECT * FROM " + "(SELECT * FROM " * n + "orders" + ")" * n,
    "SELECT " + "[" * n + "]" * n,
    "SELECT " + "+".join(["1"] * n),
    "SELECT * FROM orders WHERE " + " OR ".join(["order_id = 'x'"] * n),
    "SELECT 'a'" + " || 'b'" * n,
    " UNION ALL ".join(["SELECT 1 AS n"] * n),
]:
    refused(deep[:40], lambda: ask_sql(deep))
refused("a long text", lambda: ask_sql("SELECT 1 -- " + "x" * 70_000_000))
assert ask_sql("SELECT 1 AS n").to_pylist() == [{"n": 1}]
