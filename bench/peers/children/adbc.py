"""ADBC's PostgreSQL driver, table to a DuckDB file or a Parquet file: adbc.py URL TABLE FILE.

fetch_record_batch is its documentation's way to read what does not fit into memory; batches have its default size of 16 MiB.
Prints the number of rows.
"""

import sys

import adbc_driver_postgresql.dbapi
from arrow_landing import land

url, table, path = sys.argv[1:4]
with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
    cursor.execute(f"SELECT * FROM {table}")
    print(land(cursor.fetch_record_batch(), table, path))
