"""psycopg2's named cursor, rows to dictionaries: psycopg2_named_cursor.py TABLE.

The way of many a connector: a server-side cursor with itersize 5,000, fetchmany of as many, a dictionary for each row.
Connection from the PG* environment. Prints the number of rows.
"""

import sys

import psycopg2

BATCH = 5000
count = 0
with psycopg2.connect("") as connection, connection.cursor(name="rows") as cursor:
    cursor.itersize = BATCH
    cursor.execute(f"SELECT * FROM {sys.argv[1]}")
    while rows := cursor.fetchmany(BATCH):
        names = [column.name for column in cursor.description]
        for row in rows:
            record = dict(zip(names, row))
            count += 1
print(count)
