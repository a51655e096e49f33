import { hasMariaDb, mariaDbDatabases, mariaDbRepo, unlessMariaDb } from "../support/MariaDb.ts"
import { hasPostgres, postgresRepo, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { memoryRepo, sqlRepo } from "../support/TestLayers.ts"
import { suite } from "./conformance/Suite.ts"

suite("OrdersRepoSql.layer", sqlRepo)
suite("OrdersRepoMemory.layer", memoryRepo)
suite(`OrdersRepoSql.layer on PostgreSQL${unlessPostgres}`, postgresRepo(postgresSchemas()), hasPostgres)
suite(`OrdersRepoSql.layer on MariaDB${unlessMariaDb}`, mariaDbRepo(mariaDbDatabases()), hasMariaDb)
