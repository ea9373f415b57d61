/** A small database that has a bit of everything the command line shows. */
import type { TestDatabase } from '../server/servers.js'

export async function makeShop(database: TestDatabase): Promise<void> {
  await database.sql(`
    CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12,2) NOT NULL, note text, placed_at timestamptz NOT NULL);
    COMMENT ON TABLE orders IS 'What was bought';
    INSERT INTO orders SELECT g, g * 1.5, 'order ' || g, '2024-01-01Z'::timestamptz + g * interval '1 minute' FROM generate_series(1, 1000) g;
    CREATE TABLE items (order_id bigint, line int, sku text, PRIMARY KEY (order_id, line));
    INSERT INTO items SELECT g, 1, 'sku' || g FROM generate_series(1, 100) g;
    CREATE TABLE notes (body text);
    INSERT INTO notes VALUES ('a'), (NULL), ('');
    ANALYZE;
  `)
}
