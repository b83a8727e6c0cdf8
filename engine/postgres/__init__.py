"""PostgreSQL: sessions that run as our roles, migrations, named queries."""
