"""Lands Arrow batches, as programs that read PostgreSQL into Arrow leave it to their user, in a DuckDB file or a Parquet file."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def land(reader: pa.RecordBatchReader, table: str, path: str) -> int:
    """Batch by batch, so that memory does not grow with the table. Returns the number of rows."""
    if path.endswith(".parquet"):
        count = 0
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                count += batch.num_rows
        return count
    connection = duckdb.connect(path)
    connection.execute("CREATE SCHEMA IF NOT EXISTS public")
    count = connection.execute(f"CREATE TABLE public.{table} AS FROM reader").fetchone()
    connection.close()
    return count[0]
