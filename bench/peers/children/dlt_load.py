"""dlt, table to a DuckDB file: dlt_load.py URL TABLE FILE BACKEND.

Its documentation's advice for speed: an Arrow backend instead of the default one of dictionaries, large chunks, Parquet files
between the steps, no compression of what is only kept between them. A dlt pipeline extracts into files, normalises, then loads. Prints the number of rows.
"""

import os
import sys

url, table, path, backend = sys.argv[1:5]
# SQLAlchemy 2.1 takes another driver than the one that is installed unless it is named.
url = url.replace("postgresql://", "postgresql+psycopg2://")
work = f"{path}.work"
os.environ.update(
    {
        "DLT_DATA_DIR": work,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "DATA_WRITER__DISABLE_COMPRESSION": "true",
    }
)

import dlt  # noqa: E402  (reads its settings when it is imported)
from dlt.sources.sql_database import sql_table  # noqa: E402

source = sql_table(
    credentials=url,
    schema="public",
    table=table,
    backend=backend,
    chunk_size=100_000,
    reflection_level="full_with_precision",
    backend_kwargs={"return_type": "arrow_stream"} if backend == "connectorx" else None,
)
pipeline = dlt.pipeline(
    "bench", destination=dlt.destinations.duckdb(path), dataset_name="public", pipelines_dir=work
)
pipeline.run(source, write_disposition="replace", loader_file_format="parquet")
print(pipeline.last_trace.last_normalize_info.row_counts[table])
