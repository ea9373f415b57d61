"""DuckDB's postgres extension, table to a DuckDB file or a Parquet file: duckdb_postgres.py TABLE FILE [THREADS].

Connection from PGHOST, PGPORT, PGUSER, PGDATABASE. Its documentation's way to copy a table: ATTACH, then CREATE TABLE … AS or
COPY … TO. Its defaults are kept, which are those for speed: binary COPY, 1,000 pages a task by ctid, as many tasks at once as
DuckDB has threads (one for each processor unless THREADS is given), all in one exported snapshot. Prints the number of rows.
"""

import os
import sys

import duckdb
import duckdb_extension_postgres_scanner

table, path = sys.argv[1:3]
package = os.path.dirname(duckdb_extension_postgres_scanner.__file__)
extension = f"{package}/extensions/v{duckdb.__version__}/postgres_scanner.duckdb_extension"
to_parquet = path.endswith(".parquet")
connection = duckdb.connect(":memory:" if to_parquet else path)
if len(sys.argv) > 3:
    connection.execute(f"SET threads = {int(sys.argv[3])}")
connection.execute(f"LOAD '{extension}'")
connection.execute("ATTACH '' AS source (TYPE postgres, READ_ONLY)")
if to_parquet:
    count = connection.execute(f"COPY source.public.{table} TO '{path}' (FORMAT parquet)").fetchone()
else:
    connection.execute("CREATE SCHEMA IF NOT EXISTS public")
    count = connection.execute(f"CREATE TABLE public.{table} AS FROM source.public.{table}").fetchone()
connection.close()
print(count[0])
