import { nodesRepo } from "../support/NodesRepo.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { changeSuite } from "./conformance/Suite.ts"

changeSuite(`OrdersRepoSql.layer of a node on PostgreSQL${unlessPostgres}`, nodesRepo(postgresSchemas()), hasPostgres)
