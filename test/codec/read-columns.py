"""Prints the rows of files as JSON, in the form of canonical-rows.ts: READER PLAN, READER pyarrow or polars, PLAN a JSON file of
files and their fields. Each is Parquet, an Arrow file or an Arrow stream, as its name ends in .parquet, .arrow or .arrows.
"""
import json
import struct
import sys
from decimal import Context, Decimal

WIDE = Context(prec=60)


def plain(type, value):
    if value is None:
        return None
    kind = type["kind"]
    if kind == "list":
        return [plain(type["element"], element) for element in value]
    if kind == "bool":
        return value
    if kind == "float":
        return struct.pack(">d", value).hex()
    if kind == "interval":
        if isinstance(value, dict):
            return f"{value['months']}/{value['days']}/{value['micros']}"
        return f"{value.months}/{value.days}/{value.nanoseconds // 1000}"
    if kind == "decimal":
        return str(int(Decimal(value).scaleb(type["scale"], WIDE)))
    if kind in ("text", "json"):
        return (value.encode() if isinstance(value, str) else value).hex()
    if kind in ("uuid", "binary"):
        return value.hex()
    return str(value)


def read_pyarrow(file, fields):
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet

    def stored(array, type):
        """Days and microseconds as whole numbers, which Python's own dates do not reach."""
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        kind = type["kind"]
        if kind == "list":
            values = stored(array.values, type["element"])
            return pa.ListArray.from_arrays(array.offsets, values, mask=array.is_null() if array.null_count else None)
        if kind == "date":
            return array.view(pa.int32())
        if kind in ("time", "timestamp"):
            return array.view(pa.int64())
        return array

    def values(type, array):
        return [micros(type, plain(type, value)) for value in stored(array, type).to_pylist()]

    def read():
        if file.endswith(".parquet"):
            return pyarrow.parquet.read_table(file)
        if file.endswith(".arrow"):
            return pyarrow.ipc.open_file(file).read_all()
        return pyarrow.ipc.open_stream(file).read_all()

    def validate(column):
        """24:00:00 is a time of PostgreSQL's and none of Arrow's: the one thing that a full validation may find."""
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            if "time64[us] 86400000000" not in str(error):
                raise

    table = read()
    columns = []
    for index, field in enumerate(fields):
        validate(table.column(index))
        chunks = table.column(index).chunks
        columns.append([value for chunk in chunks for value in values(field["type"], chunk)])
    return columns


def micros(type, value):
    """PostgreSQL has microseconds; a timestamp in nanoseconds is compared as such."""
    if value is None or type["kind"] != "timestamp" or type.get("unit") != "ns":
        return value
    nanos = int(value)
    return value if abs(nanos) == 2**63 - 1 else str(nanos // 1000)


def read_polars(file, fields):
    import polars as pl

    read = {"parquet": pl.read_parquet, "arrow": pl.read_ipc, "arrows": pl.read_ipc_stream}
    frame = read[file.rsplit(".", 1)[1]](file)

    def stored(series, type):
        if type["kind"] == "list":
            return [None if part is None else stored(part, type["element"]) for part in series]
        if type["kind"] == "time":
            # Polars counts nanoseconds of a day.
            return [None if value is None else value // 1000 for value in series.to_physical()]
        if type["kind"] in ("date", "timestamp"):
            return series.to_physical().to_list()
        return series.to_list()

    return [
        [micros(field["type"], plain(field["type"], value)) for value in stored(frame.to_series(index), field["type"])]
        for index, field in enumerate(fields)
    ]


reader, plan = sys.argv[1:]
with open(plan) as content:
    files = json.load(content)
read = {"pyarrow": read_pyarrow, "polars": read_polars}[reader]
print(json.dumps([[list(row) for row in zip(*read(each["file"], each["fields"]))] for each in files]))
