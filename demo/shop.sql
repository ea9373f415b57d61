-- A small shop, the same on every machine: about one million rows over four tables, one of them partitioned by month.

CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'delivered', 'returned');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');

CREATE TABLE customers (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      email NOT NULL UNIQUE,
  name       text NOT NULL,
  country    char(2) NOT NULL,
  balance    numeric(12, 2) NOT NULL DEFAULT 0,
  birthday   date,
  address    inet,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE orders (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  status      order_status NOT NULL,
  total       numeric(12, 2) NOT NULL,
  paid        boolean NOT NULL,
  note        text,
  delivery    tstzrange,
  placed_at   timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);

CREATE TABLE order_items (
  order_id  bigint NOT NULL,
  line      smallint NOT NULL,
  sku       text NOT NULL,
  quantity  smallint NOT NULL,
  price     numeric(10, 4) NOT NULL,
  weight_kg real,
  placed_on date NOT NULL,
  PRIMARY KEY (placed_on, order_id, line)
) PARTITION BY RANGE (placed_on);

CREATE TABLE events (
  id         uuid PRIMARY KEY,
  customer_id integer,
  kind       text NOT NULL,
  payload    jsonb NOT NULL,
  tags       text[] NOT NULL,
  duration   interval,
  happened_at timestamptz NOT NULL
);

DO $$
BEGIN
  FOR month IN 0..11 LOOP
    EXECUTE format(
      'CREATE TABLE order_items_%s PARTITION OF order_items FOR VALUES FROM (%L) TO (%L)',
      to_char(date '2025-01-01' + make_interval(months => month), 'YYYY_MM'),
      date '2025-01-01' + make_interval(months => month),
      date '2025-01-01' + make_interval(months => month + 1));
  END LOOP;
END
$$;

INSERT INTO customers (email, name, country, balance, birthday, address, created_at, updated_at)
SELECT format('customer%s@example.com', n),
       (ARRAY['Ada','Grace','Edsger','Barbara','Niklaus','Frances'])[1 + n % 6] || ' ' || initcap(left(md5(n::text), 7)),
       (ARRAY['DE','FR','US','JP','BR','KE'])[1 + (n * 7) % 6],
       ((n::bigint * 7919) % 1000000) / 100.0,
       CASE WHEN n % 5 = 0 THEN NULL ELSE date '1950-01-01' + (n * 37) % 20000 END,
       CASE WHEN n % 3 = 0 THEN NULL ELSE ('10.' || n % 256 || '.' || (n / 256) % 256 || '.1/24')::inet END,
       timestamptz '2024-01-01 00:00:00+00' + make_interval(secs => n * 300),
       timestamptz '2024-01-01 00:00:00+00' + make_interval(secs => n * 300)
FROM generate_series(1, 50000) n;

INSERT INTO orders (customer_id, status, total, paid, note, delivery, placed_at, updated_at)
SELECT 1 + (n::bigint * 7919) % 50000,
       (enum_range(NULL::order_status))[1 + (n * 13) % 5],
       ((n::bigint * 104729) % 5000000) / 100.0,
       n % 4 <> 0,
       CASE WHEN n % 10 = 0 THEN 'Leave at the door – ' || md5(n::text) END,
       CASE WHEN n % 2 = 0 THEN tstzrange(at, at + interval '3 days') END,
       at, at
FROM (SELECT n, timestamptz '2025-01-01 00:00:00+00' + make_interval(secs => n * 157) AS at
      FROM generate_series(1, 200000) n) AS placed;

INSERT INTO order_items (order_id, line, sku, quantity, price, weight_kg, placed_on)
SELECT o.id, line, 'SKU-' || upper(left(md5((o.id * line % 5000)::text), 6)), 1 + (o.id * line) % 9,
       ((o.id * 31 + line * 17) % 100000) / 1000.0,
       CASE WHEN line % 2 = 0 THEN ((o.id + line) % 1000) / 100.0::real END,
       (o.placed_at AT TIME ZONE 'UTC')::date
FROM orders o CROSS JOIN LATERAL generate_series(1, 1 + o.id % 4) AS line;

INSERT INTO events (id, customer_id, kind, payload, tags, duration, happened_at)
SELECT md5('event' || n)::uuid,
       CASE WHEN n % 9 = 0 THEN NULL ELSE 1 + (n::bigint * 104729) % 50000 END,
       (ARRAY['view','search','cart','checkout','support'])[1 + n % 5],
       jsonb_build_object('page', '/p/' || n % 2000, 'ms', n % 700, 'agent',
                          jsonb_build_object('mobile', n % 2 = 0, 'version', (n % 90) / 10.0)),
       CASE n % 4 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['new', NULL] ELSE ARRAY['a/b test', 'quote "here"', n::text] END,
       CASE WHEN n % 3 = 0 THEN make_interval(secs => n % 4000 / 10.0) END,
       timestamptz '2025-01-01 00:00:00+00' + make_interval(secs => n * 126)
FROM generate_series(1, 250000) n;

ANALYZE;
