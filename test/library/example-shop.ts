/** What the examples of the documentation read. */
import type { TestDatabase } from '../server/servers.js'

export async function makeExampleShop(database: TestDatabase): Promise<void> {
  await database.sql(`
    CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12,2) NOT NULL, note text, placed_at timestamptz NOT NULL,
                         updated_at timestamptz);
    INSERT INTO orders SELECT g, g * 1.5, 'order ' || g, '2023-12-31Z'::timestamptz + g * interval '1 hour',
                              '2024-01-31Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 200) g;
    CREATE INDEX orders_updated_at ON orders (updated_at);
    CREATE TABLE items (order_id bigint, line int, sku text, PRIMARY KEY (order_id, line));
    INSERT INTO items SELECT g, 1, 'sku' || g FROM generate_series(1, 100) g;
    CREATE TABLE users (id int PRIMARY KEY, email text, ssn text);
    INSERT INTO users VALUES (1, 'a@example.com', 'x');
    CREATE TABLE events (id bigint PRIMARY KEY, kind text);
    INSERT INTO events VALUES (1, 'seen');
    CREATE TABLE invoices (id int PRIMARY KEY, amount numeric NOT NULL);
    INSERT INTO invoices VALUES (1, 10.25);
    CREATE TABLE notes (body text);
    INSERT INTO notes VALUES ('a');
    CREATE TABLE audit_log (id int PRIMARY KEY);
    ANALYZE;
  `)
}
