import * as Net from "node:net"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Option, Predicate, Redacted, Stream } from "effect"
import * as Mysql from "mysql2"
import type { DatabaseServer, DatabaseTls } from "../../DatabaseServer.ts"
import { answerMillis, connectMillis, endMillis } from "../server/Patience.ts"

/** Names are checked by the driver where a host has one. */
const tlsOptions = ({ ca, cert, key, verification }: DatabaseTls): Mysql.SslOptions => ({
  ...(Option.isSome(ca) ? { ca: ca.value } : {}),
  ...(Option.isSome(cert) ? { cert: cert.value } : {}),
  ...(Option.isSome(key) ? { key: Redacted.value(key.value) } : {}),
  rejectUnauthorized: verification !== "none",
  verifyIdentity: verification === "full"
})

/** What a connection needs to know. */
export type ClientConfig = Omit<Mysql.ConnectionOptions, "stream"> & {
  readonly address: Net.NetConnectOpts
  readonly answerMillis?: number
}

export const clientConfig = ({ database, host, password, port, tls, user }: DatabaseServer): ClientConfig => ({
  address: host.startsWith("/") ? { path: host } : { host, port, keepAlive: true, keepAliveInitialDelay: 10_000 },
  ...(host.startsWith("/") ? {} : { host }),
  user,
  database,
  ...(Option.isSome(password) ? { password: Redacted.value(password.value) } : {}),
  ...(Option.isSome(tls) ? { ssl: tlsOptions(tls.value) } : {}),
  connectTimeout: connectMillis,
  charset: "UTF8MB4_BIN",
  // No text of ours is taken for JSON, and no server gets at files of this machine.
  jsonStrings: true,
  flags: ["-LOCAL_FILES"]
})

/**
 * What makes statements mean the same as in other databases: names in double quotes, SET by the values from before it, a
 * value that does not fit an error, and texts equal only if their bytes are.
 */
const prepare = [
  "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
  `SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,SIMULTANEOUS_ASSIGNMENT,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'`,
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  "SET SESSION innodb_lock_wait_timeout = 5"
]

/** What a statement may have beside its texts, in bytes. */
const packetRest = 64 * 1024

/** The oldest version that has all that the statements need: JSON_TABLE. */
const oldest = [10, 6] as const

/** What a server is that this service cannot work with, by its `VERSION()`. */
export const unsupported = (version: string) => {
  if (!/mariadb/i.test(version)) return `MySQL ${version}`
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
    ? undefined
    : `MariaDB ${version.replace(/-.*/, "")}`
}

/** The driver knows no names for the newer of the server's own numbers. */
const failure = (cause: unknown) => {
  const isNamed = Predicate.hasProperty(cause, "code") && cause.code !== undefined
  if (cause instanceof Error && !isNamed && Predicate.hasProperty(cause, "errno")) {
    Object.assign(cause, { code: `ER_${cause.errno}` })
  }
  return new SqlError({ cause, message: "Failed to execute statement" })
}

/** Whether a server takes statements of that size. One that does not would end the connection. */
const fits = (params: ReadonlyArray<unknown>, most: number) => {
  const texts = params.filter(Predicate.isString)
  const atMost = texts.reduce((sum, { length }) => sum + 3 * length, packetRest)
  return atMost <= most || texts.reduce((sum, text) => sum + Buffer.byteLength(text), packetRest) <= most
}

type Answer = Effect.Effect<unknown, SqlError>

/** A connection that can be given up while the server owes an answer. */
export class Client {
  readonly #connection: Mysql.Connection
  readonly #socket: Net.Socket
  /** For how long a statement waits for its answer, in milliseconds. */
  readonly #answerMillis: number
  #isOpen = true
  /** What the server takes as one statement, in bytes. */
  #mostBytes = Number.POSITIVE_INFINITY

  constructor({ address, answerMillis: millis = answerMillis, ...config }: ClientConfig) {
    this.#answerMillis = millis
    this.#socket = Net.connect(address)
    this.#socket.setNoDelay(true)
    this.#connection = Mysql.createConnection({ ...config, stream: () => this.#socket })
    const lost = () => {
      this.#isOpen = false
    }
    // It is reported by the statement that meets it, and by the next one.
    this.#connection.on("error", lost)
    this.#connection.on("end", lost)
    this.#socket.on("close", lost)
  }

  /** Whether it is not known to have ended. */
  isOpen = () => this.#isOpen

  /** Every statement that waits fails, and so does every later one. */
  abort = (why: string) => {
    this.#isOpen = false
    this.#socket.destroy(new Error(why))
  }

  /** Ends it in order, or at once if that takes long. */
  end = () =>
    new Promise<void>((resolve) => {
      this.#isOpen = false
      const timer = setTimeout(() => {
        this.abort("closed")
        resolve()
      }, endMillis)
      this.#connection.end(() => {
        clearTimeout(timer)
        resolve()
      })
    })

  /** Runs a statement. It goes on when the fiber is interrupted: a connection is not free before its answer has come. */
  ask(text: string, params: ReadonlyArray<unknown>, rowsAsArray: boolean, answer: (answer: Answer) => void) {
    if (!fits(params, this.#mostBytes)) {
      const why = `The statement is larger than max_allowed_packet, which is ${this.#mostBytes}`
      return answer(failure(Object.assign(new Error(why), { code: "ER_NET_PACKET_TOO_LARGE" })))
    }
    const millis = this.#answerMillis
    const timer = setTimeout(() => this.abort(`no answer within ${millis / 1000} seconds`), millis)
    const answered = (error: unknown, result: unknown) => {
      clearTimeout(timer)
      answer(error ? failure(error) : Effect.succeed(result))
    }
    // Statements with parameters are few and come again and again: a connection prepares each of them once.
    if (params.length > 0) this.#connection.execute({ sql: text, values: [...params], rowsAsArray }, answered)
    else this.#connection.query({ sql: text, rowsAsArray }, answered)
  }

  /** Says something to the server so often, in milliseconds, also while nothing is asked. */
  keepAlive(everyMillis: number) {
    const timer = setInterval(() => {
      if (this.#isOpen) this.ask("DO 1", [], false, () => {})
      else clearInterval(timer)
    }, everyMillis)
    timer.unref()
  }

  /** Connects, to a server of a version that is supported, and sets what statements mean. */
  readonly ready = Effect.gen(this, function* () {
    yield* Effect.async<void, SqlError>((resume) =>
      this.#connection.connect((error) => resume(error ? failure(error) : Effect.void))
    )
    const { execute } = connectionOf(this)
    const [row] = yield* execute("SELECT VERSION() AS version, @@max_allowed_packet AS most", [], undefined)
    this.#mostBytes = Number(row?.most)
    const why = unsupported(String(row?.version))
    if (why !== undefined) return yield* failure(Object.assign(new Error(why), { code: "UNSUPPORTED_VERSION" }))
    for (const statement of prepare) yield* execute(statement, [], undefined)
  })
}

type Ask = (text: string, params: ReadonlyArray<unknown>, rowsAsArray: boolean) => Answer

/** Runs each statement where it is asked. */
export const connectionBy = (ask: Ask): Connection => {
  const rows = (text: string, params: ReadonlyArray<unknown>, rowsAsArray = false) =>
    Effect.map(ask(text, params, rowsAsArray), (result) => (Array.isArray(result) ? result : []))
  const execute: Connection["execute"] = (text, params, transform) =>
    transform ? Effect.map(rows(text, params), transform) : rows(text, params)
  return {
    execute,
    executeUnprepared: execute,
    executeRaw: (text, params) => ask(text, params, false),
    executeValues: (text, params) => rows(text, params, true),
    executeStream: () => Stream.dieMessage("Rows are not streamed")
  }
}

/** Runs statements on one connection, one after the other. */
export const connectionOf = (client: Client) =>
  connectionBy((text, params, rowsAsArray) => Effect.async((resume) => client.ask(text, params, rowsAsArray, resume)))
