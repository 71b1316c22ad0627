# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Comptoir authors
"""The messages of Flight SQL by hand, field by field, as drivers' own generated code writes them; nothing of the server's
is used. A client of the server whose URI is the first argument.
"""

import sys

import pyarrow as pa
import pyarrow.flight as flight

URI = sys.argv[1]
SQL = "type.googleapis.com/arrow.flight.protocol.sql."


def varint(n):
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def field(number, value):
    if value is None:
        return b""
    if isinstance(value, bool):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def packed(name, *fields):
    return message((1, SQL + name), (2, message(*fields)))


def read(data):
    """A message's fields, by number."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 1:
            value = data[at : at + 8]
            at += 8
        else:
            length = number()
            value = data[at : at + length]
            at += length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def any_of(data):
    outer = read(data)
    return outer[1][0].decode().removeprefix(SQL), read(outer.get(2, [b""])[0])


client = flight.FlightClient(URI)


def ask(name, *fields):
    """GetFlightInfo, then DoGet, and that both tell the same schema."""
    descriptor = flight.FlightDescriptor.for_command(packed(name, *fields))
    info = client.get_flight_info(descriptor)
    assert len(info.endpoints) == 1 and not info.endpoints[0].locations, info
    reader = client.do_get(info.endpoints[0].ticket)
    assert reader.schema.equals(info.schema, check_metadata=True), (name, info.schema, reader.schema)
    assert client.get_schema(descriptor).schema.equals(info.schema, check_metadata=True), name
    return reader.read_all()


def action(name, body):
    return [result.body.to_pybytes() for result in client.do_action(flight.Action(name, body))]


def execute_update(sql):
    descriptor = flight.FlightDescriptor.for_command(packed("CommandStatementUpdate", (1, sql)))
    writer, reader = client.do_put(descriptor, pa.schema([]))
    with writer:
        writer.done_writing()
        count = read(reader.read().to_pybytes()).get(1, [0])[0]
    return count - 2**64 if count >= 2**63 else count


def prepare(sql):
    [body] = action("CreatePreparedStatement", packed("ActionCreatePreparedStatementRequest", (1, sql)))
    name, fields = any_of(body)
    assert name == "ActionCreatePreparedStatementResult", name
    schema = lambda n: pa.ipc.read_schema(pa.py_buffer(fields[n][0]))
    return fields[1][0], schema(2), schema(3)


def close(handle):
    assert action("ClosePreparedStatement", packed("ActionClosePreparedStatementRequest", (1, handle))) == []


def bind(command, handle, batch):
    descriptor = flight.FlightDescriptor.for_command(packed(command, (1, handle)))
    writer, reader = client.do_put(descriptor, batch.schema)
    with writer:
        writer.write_batch(batch)
        writer.done_writing()
        answer = reader.read()
        return read(answer.to_pybytes()) if answer is not None else {}
