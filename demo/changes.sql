-- A day in the life of the shop: what the second and the third sync have to find.
INSERT INTO orders (customer_id, status, total, paid, note, placed_at, updated_at)
SELECT 1 + n % 50000, 'placed', n, false, 'fresh', now(), now() FROM generate_series(1, 1500) n;
UPDATE customers SET balance = balance + 10, updated_at = now() WHERE id % 500 = 0;
-- An update that touches no timestamp.
UPDATE orders SET paid = true WHERE id % 1000 = 4;
DELETE FROM events WHERE happened_at < timestamptz '2025-01-02 00:00:00+00';
DELETE FROM order_items WHERE placed_on = date '2025-03-03';
ALTER TABLE events ADD COLUMN channel text NOT NULL DEFAULT 'web';
UPDATE events SET channel = 'app' WHERE payload->>'page' = '/p/7';
