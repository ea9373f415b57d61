"""pyodbc with PostgreSQL's own ODBC driver, rows to dictionaries: pyodbc_fetchmany.py TABLE.

UseDeclareFetch is what psqlODBC's documentation asks for where a result is larger than memory; 5,000 rows at a time, fetchmany
of as many, a dictionary for each row. Connection from the PG* environment. Prints the number of rows.
"""

import os
import sys

import pyodbc

BATCH = 5000
connection = pyodbc.connect(
    ";".join(
        [
            "Driver={PostgreSQL Unicode}",
            f"Server={os.environ['PGHOST']}",
            f"Port={os.environ['PGPORT']}",
            f"Database={os.environ['PGDATABASE']}",
            f"Uid={os.environ['PGUSER']}",
            "UseDeclareFetch=1",
            f"Fetch={BATCH}",
        ]
    )
)
count = 0
cursor = connection.cursor()
cursor.execute(f"SELECT * FROM {sys.argv[1]}")
names = [column[0] for column in cursor.description]
while rows := cursor.fetchmany(BATCH):
    for row in rows:
        record = dict(zip(names, row))
        count += 1
connection.close()
print(count)
