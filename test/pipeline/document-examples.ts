/** The pipelines that the SQLFlow connector's document shows, as they stand there. */
export const EXAMPLES = {
  legacy: `SOURCE postgres_orders TYPE POSTGRES PARAMS {
  "host": "\${DB_HOST}",
  "port": 5432,
  "dbname": "ecommerce",           -- Legacy parameter name (supported)
  "user": "\${DB_USER}",            -- Legacy parameter name (supported)
  "password": "\${DB_PASSWORD}",
  "sync_mode": "incremental",
  "cursor_field": "updated_at",
  "primary_key": ["order_id"],
  "table": "orders"
};
`,
  recommended: `SOURCE postgres_orders TYPE POSTGRES PARAMS {
  "host": "\${DB_HOST}",
  "port": 5432,
  "database": "ecommerce",         -- Industry-standard name (Airbyte/Fivetran compatible)
  "username": "\${DB_USER}",        -- Industry-standard name (Airbyte/Fivetran compatible)  
  "password": "\${DB_PASSWORD}",
  "schema": "public",              -- Schema support
  "sync_mode": "incremental",      -- Airbyte/Fivetran standard
  "cursor_field": "updated_at",    -- Incremental loading field
  "primary_key": ["order_id"],     -- Primary key specification
  "table": "orders",               -- Target table
  "sslmode": "prefer",             -- SSL configuration
  "batch_size": 10000,             -- Performance tuning
  "timeout_seconds": 300,          -- Connection timeout
  "max_retries": 3                -- Retry configuration
};
`,
  mixed: `SOURCE postgres_orders TYPE POSTGRES PARAMS {
  "host": "\${DB_HOST}",
  "dbname": "old_database",        -- Legacy name
  "database": "new_database",      -- Industry-standard name (WINS)
  "user": "old_user",              -- Legacy name  
  "username": "new_user",          -- Industry-standard name (WINS)
  "password": "\${DB_PASSWORD}"
};
-- Result: Connects to "new_database" as "new_user"
`,
  basic: `SOURCE customers TYPE POSTGRES PARAMS {
  "host": "localhost",
  "database": "ecommerce",
  "username": "readonly_user",
  "password": "\${DB_PASSWORD}",
  "table": "customers"
};

LOAD customer_data FROM customers;
`,
  incremental: `SOURCE orders TYPE POSTGRES PARAMS {
  "host": "\${DB_HOST}",
  "database": "sales",
  "username": "\${DB_USER}",
  "password": "\${DB_PASSWORD}",
  "schema": "public",
  "table": "orders",
  "sync_mode": "incremental",
  "cursor_field": "updated_at",
  "primary_key": ["order_id"]
};

LOAD orders_incremental FROM orders MODE APPEND;
`,
  query: `SOURCE analytics_data TYPE POSTGRES PARAMS {
  "host": "analytics.company.com",
  "database": "warehouse",
  "username": "analytics_user",
  "password": "\${ANALYTICS_PASSWORD}",
  "schema": "analytics",
  "query": "SELECT o.*, c.segment FROM orders o JOIN customers c ON o.customer_id = c.id",
  "sync_mode": "incremental",
  "cursor_field": "o.updated_at"
};

LOAD enriched_orders FROM analytics_data MODE REPLACE;
`,
  production: `SOURCE production_orders TYPE POSTGRES PARAMS {
  "host": "prod-db.company.com",
  "port": 5432,
  "database": "production",
  "username": "etl_user",
  "password": "\${PROD_DB_PASSWORD}",
  "schema": "orders",
  "table": "order_items",
  "sync_mode": "incremental",
  "cursor_field": "modified_at",
  "primary_key": ["order_id", "item_id"],
  "sslmode": "require",
  "min_connections": 2,
  "max_connections": 10,
  "batch_size": 5000,
  "timeout_seconds": 600,
  "connect_timeout": 30
};
`,
} as const
