import * as Net from "node:net"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Option, Redacted, Stream } from "effect"
import * as Pg from "pg"
import type { DatabaseServer, DatabaseTls } from "../../DatabaseServer.ts"
import { answerMillis, connectMillis, endMillis } from "../server/Patience.ts"

/** Integers of eight bytes are numbers here: none is greater than JavaScript knows exactly. */
const types: Pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => (oid === Pg.types.builtins.INT8 ? Number : Pg.types.getTypeParser(oid, format))
}

const tlsOptions = ({ ca, cert, key, verification }: DatabaseTls) => ({
  ...(Option.isSome(ca) ? { ca: ca.value } : {}),
  ...(Option.isSome(cert) ? { cert: cert.value } : {}),
  ...(Option.isSome(key) ? { key: Redacted.value(key.value) } : {}),
  ...(verification === "chain" ? { checkServerIdentity: () => undefined } : {}),
  rejectUnauthorized: verification !== "none"
})

/** What a connection needs to know. */
export type ClientConfig = Pg.ClientConfig & { readonly answerMillis?: number }

/** `name` is the one that the server shows its sessions under. */
export const clientConfig = (server: DatabaseServer, name: string): ClientConfig => ({
  host: server.host,
  port: server.port,
  user: server.user,
  database: server.database,
  ...(Option.isSome(server.password) ? { password: Redacted.value(server.password.value) } : {}),
  ...(Option.isSome(server.options) ? { options: server.options.value } : {}),
  ssl: Option.match(server.tls, { onNone: () => false, onSome: tlsOptions }),
  application_name: name,
  connectionTimeoutMillis: connectMillis,
  keepAlive: true,
  types
})

/** A connection that can be given up while the server owes an answer. */
export class Client extends Pg.Client {
  readonly #socket: Net.Socket
  /** For how long a statement waits for its answer, in milliseconds. */
  readonly answerMillis: number

  constructor(config: ClientConfig = {}) {
    const socket = new Net.Socket()
    // A pool hides its password from copies.
    super({ ...config, password: config.password, stream: () => socket })
    this.#socket = socket
    this.answerMillis = config.answerMillis ?? answerMillis
    // It is reported by the statement that meets it, and by the next one.
    this.on("error", () => {})
  }

  /** Every statement that waits fails, and so does every later one. */
  abort(why: string) {
    this.#socket.destroy(new Error(why))
  }

  /** Ends it in order, or at once if that takes long. */
  override end(): Promise<void>
  override end(callback: (error: Error) => void): void
  override end(callback?: (error: Error) => void): Promise<void> | void {
    const timer = setTimeout(() => this.abort("closed"), endMillis)
    this.once("end", () => clearTimeout(timer))
    return callback ? super.end(callback) : super.end()
  }
}

const failure = (cause: unknown) => new SqlError({ cause, message: "Failed to execute statement" })

/** Runs a statement. One that gets no answer is the end of its connection. */
const send = (client: Client, query: Pg.QueryConfig, done: (error: Error | null, result: Pg.QueryResult) => void) => {
  const millis = client.answerMillis
  const timer = setTimeout(() => client.abort(`no answer within ${millis / 1000} seconds`), millis)
  client.query(query, (error, result) => {
    clearTimeout(timer)
    done(error, result)
  })
}

/** The same as an effect. It goes on when the fiber is interrupted: a connection is not free before its answer has come. */
const ask = (
  client: Client,
  query: Pg.QueryConfig,
  answer: (answer: Effect.Effect<Pg.QueryResult, SqlError>) => void
) => send(client, query, (error, result) => answer(error ? failure(error) : Effect.succeed(result)))

/** Statements with parameters are few and come again and again: a connection prepares each of them once. */
const names = new Map<string, string>()
const nameOf = (text: string) => {
  const name = names.get(text) ?? `orders_${names.size}`
  names.set(text, name)
  return name
}

type Ask = (query: Pg.QueryConfig) => Effect.Effect<Pg.QueryResult, SqlError>

const connectionBy = (ask: Ask, isPrepared: boolean): Connection => {
  const run = (text: string, params: ReadonlyArray<unknown>) =>
    ask({ text, values: [...params], ...(isPrepared && params.length > 0 ? { name: nameOf(text) } : {}) })
  const execute: Connection["execute"] = (text, params, transform) =>
    Effect.map(run(text, params), ({ rows }) => (transform ? transform(rows) : rows))
  return {
    execute,
    executeUnprepared: execute,
    executeRaw: run,
    executeValues: (text, values) =>
      Effect.map(ask({ text, values: [...values] }), ({ fields, rows }) =>
        rows.map((row) => fields.map(({ name }) => row[name]))
      ),
    executeStream: () => Stream.dieMessage("Rows are not streamed")
  }
}

/** Runs statements on one connection, one after the other. */
export const connectionOf = (client: Client) =>
  connectionBy((query) => Effect.async((resume) => ask(client, query, resume)), true)

/** Runs each statement on a connection of a pool. */
export const connectionOfPool = (pool: Pg.Pool) =>
  connectionBy(
    (query) =>
      Effect.async((resume) => {
        pool.connect((error, client, release) => {
          if (error) resume(failure(error))
          else if (!(client instanceof Client)) resume(Effect.dieMessage("The pool has a client that is not ours"))
          else {
            ask(client, query, (answer) => {
              release()
              resume(answer)
            })
          }
        })
      }),
    false
  )

/**
 * Has a session go by indices. Every statement is made for one; but the planner goes through a table from end to end where
 * that is small, and what it has prepared goes on so while the table grows, until autovacuum counts its rows again.
 */
export const byIndices = `
  SELECT
    set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false)`

/** A pool of connections, which read unless they are prepared for something else, closed with the scope. */
export const makePool = (config: Pg.ClientConfig, max: number, prepare = byIndices) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const clients = new Set<Client>()
      const onConnect = (client: Pg.ClientBase) =>
        new Promise<void>((resolve, reject) => {
          if (client instanceof Client) {
            clients.add(client)
            client.once("end", () => clients.delete(client))
            send(client, { text: prepare }, (error) => (error ? reject(error) : resolve()))
          } else reject(new Error("The pool has a client that is not ours"))
        })
      const pool = new Pg.Pool({ ...config, Client, max, idleTimeoutMillis: 60_000, onConnect })
      pool.on("error", () => {})
      return { pool, clients }
    }),
    ({ clients, pool }) =>
      Effect.promise(() => {
        // One that owes an answer is waited for by the pool, and ended by nobody.
        const timer = setTimeout(() => {
          for (const client of clients) client.abort("closed")
        }, endMillis)
        return pool.end().finally(() => clearTimeout(timer))
      })
  ).pipe(Effect.map(({ pool }) => pool))
