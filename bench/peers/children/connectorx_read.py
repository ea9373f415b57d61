"""ConnectorX, table to a DuckDB file or a Parquet file: connectorx_read.py URL TABLE FILE PARTITION_COLUMN PARTITIONS.

Its documentation's advice for speed: the binary protocol (its default) and partition_on, an integer column by whose range the
table is read on several connections (each in a snapshot of its own). Prints the number of rows.
"""

import sys

import connectorx
from arrow_landing import land

url, table, path, column, partitions = sys.argv[1:6]
result = connectorx.read_sql(
    url,
    f"SELECT * FROM {table}",
    return_type="arrow",
    partition_on=column,
    partition_num=int(partitions),
)
print(land(result.to_reader(), table, path))
