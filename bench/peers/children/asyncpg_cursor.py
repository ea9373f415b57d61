"""asyncpg's server-side cursor, rows to its records: asyncpg_cursor.py TABLE.

Its documentation's way to read a large result: a cursor in a transaction, fetch of 5,000 rows at a time, in the binary format.
Connection from the PG* environment. Prints the number of rows.
"""

import asyncio
import sys

import asyncpg

BATCH = 5000


async def main() -> None:
    connection = await asyncpg.connect()
    count = 0
    async with connection.transaction():
        cursor = await connection.cursor(f"SELECT * FROM {sys.argv[1]}")
        while rows := await cursor.fetch(BATCH):
            for row in rows:
                record = dict(row)
                count += 1
    await connection.close()
    print(count)


asyncio.run(main())
