import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { Database, Options } from "better-sqlite3"
import { Effect } from "effect"
import { loadDriver } from "../../../src/store/sqlite/SqliteDriver.ts"
import { failToStart, startService } from "../../support/ServiceProcess.ts"
import { copyOf, temporaryFolder } from "../../support/TestLayers.ts"

const Sqlite = loadDriver()

const submitMany = (url: string, from: number, to: number) =>
  Effect.promise(async () => {
    const orders = Array.from({ length: to - from }, (_, index) => ({
      order_id: from + index,
      user_id: 7,
      item_ids: [1],
      total_amount: 1,
      metadata: { text: "x".repeat(2000) }
    }))
    const response = await fetch(`${url}/api/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(orders)
    })
    assert.strictEqual(response.status, 200, await response.text())
  })

const read = <A>(file: string, use: (db: Database) => A, options: Options = {}) => {
  const db = new Sqlite(file, options)
  try {
    return use(db)
  } finally {
    db.close()
  }
}

const settings = { PROCESSING_TIME: "1 minute", WORKERS: "2", SHUTDOWN_GRACE: "0 millis" }

/** A service that was killed with orders in the database and its -wal, and a backup from before the last of them. */
const crash = (prepare: (file: string) => void = () => {}) =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const file = Path.join(folder, "data/orders.db")
    yield* Effect.scoped(
      Effect.gen(function* () {
        const { child, exited, url } = yield* startService(folder, settings)
        yield* submitMany(url, 1, 2001)
        read(file, (db) => db.exec(`VACUUM INTO '${folder}/backup.db'`))
        prepare(file)
        yield* submitMany(url, 2001, 3001)
        yield* submitMany(url, 3001, 3101)
        child.kill("SIGKILL")
        yield* exited
      })
    )
    return { folder, file }
  })

const copyOfCrash = copyOf(Effect.map(crash(), ({ folder }) => folder))

/** A copy of the one that crashed: its files are written anew in the order in which SQLite did, the -wal last. */
const crashed = Effect.gen(function* () {
  const folder = yield* copyOfCrash
  const file = Path.join(folder, "data/orders.db")
  for (const name of [file, `${file}-wal`]) Fs.writeFileSync(name, Fs.readFileSync(name))
  return { folder, file }
})

const contents = (file: string) => ["", "-wal"].map((suffix) => Fs.readFileSync(file + suffix).toString("latin1"))

const refuses = Effect.fnUntraced(function* (folder: string, why: RegExp) {
  const { code, stderr } = yield* failToStart(folder, settings)
  assert.strictEqual(code, 1, stderr)
  assert.match(stderr, why)
  assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
})

const starts = Effect.fnUntraced(function* (folder: string, orders: number) {
  const { child, exited, output, url } = yield* startService(folder, settings)
  const found = yield* Effect.promise(() => fetch(`${url}/api/metrics`).then((response) => response.text()))
  assert.include(found, `"total_orders":${orders},`)
  child.kill("SIGTERM")
  assert.strictEqual(yield* exited, 0)
  return output.stdout
}, Effect.scoped)

describe("a start", () => {
  it.scopedLive("after a crash goes on without looking at everything", () =>
    Effect.gen(function* () {
      const { folder } = yield* crash()
      assert.notInclude(yield* starts(folder, 3100), "Checking the whole of")
    })
  )

  it.scopedLive("on a backup that was copied over the database, its -wal left, is refused and changes nothing", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* crashed
      Fs.copyFileSync(Path.join(folder, "backup.db"), file)
      const before = contents(file)
      yield* refuses(
        folder,
        /^DATABASE_URL: .*orders\.db is damaged \(.*\): put a backup in place with `orders restore`/
      )
      assert.deepStrictEqual(contents(file), before)
    })
  )

  it.scopedLive(
    "on a backup that took the place of the database, its -wal left, is refused, even with an old date",
    () =>
      Effect.gen(function* () {
        const { file, folder } = yield* crashed
        Fs.utimesSync(Path.join(folder, "backup.db"), 0, 0)
        Fs.renameSync(Path.join(folder, "backup.db"), file)
        yield* refuses(folder, /orders\.db is damaged/)
      })
  )

  it.scopedLive("on an older copy of the file, page by page, its -wal left, is refused", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* crash((file) => {
        read(file, (db) => db.pragma("wal_checkpoint(TRUNCATE)"))
        Fs.copyFileSync(file, `${file}.copy`)
      })
      Fs.copyFileSync(`${file}.copy`, file)
      yield* refuses(folder, /orders\.db is damaged/)
    })
  )

  it.scopedLive("without the -wal that a crash left is refused or loses nothing that is there", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* crashed
      Fs.rmSync(`${file}-wal`)
      const { code, stderr } = yield* failToStart(folder, {
        ...settings,
        HOST: "not.a.host.invalid",
        ALLOW_UNAUTHENTICATED: "yes"
      })
      assert.strictEqual(code, 1)
      assert.match(stderr, /^(DATABASE_URL: .* is damaged|HOST, PORT: )/)
    })
  )

  it.scopedLive("without the database whose -wal a crash left is refused and keeps that", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* crashed
      Fs.rmSync(file)
      const wal = Fs.readFileSync(`${file}-wal`)
      yield* refuses(folder, /orders\.db is gone or empty, but its -wal is there/)
      assert.isTrue(wal.equals(Fs.readFileSync(`${file}-wal`)))
    })
  )

  it.scopedLive("on a database that was moved after a crash looks at everything and goes on", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* crashed
      Fs.copyFileSync(`${file}-wal`, `${file}.wal`)
      Fs.copyFileSync(file, `${file}.copy`)
      Fs.utimesSync(`${file}.wal`, 0, 0)
      Fs.renameSync(`${file}.wal`, `${file}-wal`)
      Fs.renameSync(`${file}.copy`, file)
      assert.include(yield* starts(folder, 3100), "Checking the whole of")
    })
  )
})

const rootOf = (file: string, name: string) =>
  read(file, (db) => Number(db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").pluck().get(name)))

describe("a start on a damaged database is refused", () => {
  const damages: Record<string, (file: string) => readonly [from: number, to: number]> = {
    "whose schema is damaged": () => [100, 4096],
    "whose totals are damaged": (file) => [(rootOf(file, "totals") - 1) * 4096, rootOf(file, "totals") * 4096],
    "whose line of waiting orders is damaged": (file) => [
      (rootOf(file, "orders_pending") - 1) * 4096,
      rootOf(file, "orders_pending") * 4096
    ],
    "whose orders are damaged": (file) => [(rootOf(file, "orders") - 1) * 4096, rootOf(file, "orders") * 4096],
    "that ends too early": (file) => [Fs.statSync(file).size / 2, Number.POSITIVE_INFINITY]
  }
  const stopped = copyOf(
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { child, exited, url } = yield* startService(folder, settings)
      yield* submitMany(url, 1, 501)
      child.kill("SIGTERM")
      yield* exited
      return folder
    })
  )

  it.scopedLive.each(Object.entries(damages))("%s", ([_title, where]) =>
    Effect.gen(function* () {
      const folder = yield* stopped
      const file = Path.join(folder, "data/orders.db")
      const [from, to] = where(file)
      const whole = Fs.readFileSync(file)
      Fs.writeFileSync(file, to > whole.length ? whole.subarray(0, from) : Buffer.from(whole).fill(0xa5, from, to))
      yield* refuses(folder, /orders\.db is damaged/)
    })
  )
})
