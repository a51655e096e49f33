import { Layer } from "effect"
import * as OrdersRepoSql from "../OrdersRepoSql.ts"
import { SqlLive } from "./Sqlite.ts"
import * as SqliteStatements from "./SqliteStatements.ts"

/** The repository on the SQLite file of the settings, with its client and what is known of the file. */
export const layer = OrdersRepoSql.layer.pipe(Layer.provide(SqliteStatements.layer), Layer.provideMerge(SqlLive))
