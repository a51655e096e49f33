import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { AppConfig } from "../../../src/AppConfig.ts"
import { othersAccess } from "../../../src/store/sqlite/FileAccess.ts"
import { SqlLive } from "../../../src/store/sqlite/Sqlite.ts"
import { connect } from "../../support/Database.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"

const modeOf = (path: string) => (Fs.statSync(path).mode & 0o7777).toString(8)

const parts = ["", "-wal", "-shm", ".lock"]

const withUmask = (umask: number) =>
  Effect.acquireRelease(
    Effect.sync(() => process.umask(umask)),
    (before) => Effect.sync(() => process.umask(before))
  )

/** A folder that others may pass, unlike one for temporary files. */
const openFolder = Effect.tap(temporaryFolder, (folder) => Effect.sync(() => Fs.chmodSync(folder, 0o755)))

/** Starts on a database, looks while it is open, and gives what was logged. */
const start = (databaseFile: string, look: () => void = () => {}) =>
  Effect.gen(function* () {
    const logged: Array<string> = []
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ message }) => void logged.push(String(message)))
    )
    yield* Layer.build(SqlLive).pipe(
      Effect.zipRight(Effect.sync(look)),
      Effect.scoped,
      Effect.provide(Layer.merge(AppConfig.layerTest({ databaseFile }), logger))
    )
    return logged
  })

describe("the files of the database", () => {
  for (const umask of [0o000, 0o022, 0o077]) {
    it.scoped(`are made for their owner alone, at umask ${umask.toString(8)}`, () =>
      Effect.gen(function* () {
        yield* withUmask(umask)
        const folder = yield* openFolder
        const file = Path.join(folder, "a", "b", "orders.db")
        const logged = yield* start(file, () => {
          assert.deepStrictEqual(
            parts.map((part) => modeOf(file + part)),
            ["600", "600", "600", "600"]
          )
        })
        assert.deepStrictEqual(logged, [])
        assert.deepStrictEqual([modeOf(Path.join(folder, "a")), modeOf(Path.dirname(file))], ["700", "700"])
        assert.strictEqual(modeOf(folder), "755")
      })
    )
  }

  it.scoped("are made behind a link, too", () =>
    Effect.gen(function* () {
      yield* withUmask(0)
      const folder = yield* openFolder
      Fs.mkdirSync(Path.join(folder, "real"))
      Fs.symlinkSync("real/orders.db", Path.join(folder, "link.db"))
      const file = Path.join(folder, "real/orders.db")
      yield* start(Path.join(folder, "link.db"), () => {
        assert.deepStrictEqual(
          parts.map((part) => modeOf(file + part)),
          ["600", "600", "600", "600"]
        )
      })
    })
  )

  it.scoped("keep the modes they have, and the start says once what others may do and what to do", () =>
    Effect.gen(function* () {
      const folder = yield* openFolder
      const file = `${Fs.realpathSync(folder)}/the orders.db`
      yield* start(file)
      Fs.chmodSync(file, 0o644)
      Fs.chmodSync(`${file}.lock`, 0o640)
      const logged = yield* start(file, () => {
        assert.deepStrictEqual(
          parts.map((part) => modeOf(file + part)),
          ["644", "644", "644", "640"]
        )
      })
      assert.deepStrictEqual(logged, [
        `other users may read or write ${file} (mode 0644), ${file}-wal (mode 0644), ${file}-shm (mode 0644), ` +
          `${file}.lock (mode 0640): chmod 600 '${file}' '${file}-wal' '${file}-shm' '${file}.lock'`
      ])
    })
  )
})

describe("what others may do", () => {
  const database = Effect.map(openFolder, (folder) => {
    const file = Path.join(Fs.realpathSync(folder), "orders.db")
    connect(file, (db) => db.exec("CREATE TABLE t (x)"))
    Fs.chmodSync(file, 0o600)
    return { file, folder: Path.dirname(file) }
  })
  const found = (file: string) => Effect.promise(() => othersAccess(file))

  it.scoped("is nothing with files for their owner alone, or below a folder that is closed to others", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* database
      assert.isUndefined(yield* found(file))
      Fs.chmodSync(file, 0o666)
      Fs.mkdirSync(`${folder}/closed/open`, { recursive: true })
      Fs.renameSync(file, `${folder}/closed/open/orders.db`)
      assert.isDefined(yield* found(`${folder}/closed/open/orders.db`))
      Fs.chmodSync(`${folder}/closed`, 0o700)
      assert.isUndefined(yield* found(`${folder}/closed/open/orders.db`))
    })
  )

  for (const mode of [0o604, 0o602, 0o640, 0o620]) {
    it.scoped(`is found at mode ${mode.toString(8)}`, () =>
      Effect.gen(function* () {
        const { file } = yield* database
        Fs.chmodSync(file, mode)
        assert.deepStrictEqual(yield* found(file), {
          found: `other users may read or write ${file} (mode 0${mode.toString(8)})`,
          advice: `chmod 600 ${file}`
        })
      })
    )
  }

  it.scoped("is to put files into a folder they may write to", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* database
      Fs.chmodSync(folder, 0o777)
      assert.deepStrictEqual(yield* found(file), {
        found: `other users may read or write the folder ${folder} (mode 0777)`,
        advice: `chmod go-w ${folder}`
      })
      Fs.chmodSync(folder, 0o1777)
      assert.strictEqual((yield* found(file))?.advice, "move the database into a folder of its own")
    })
  )

  const isRoot = process.getuid?.() === 0
  it.scoped.skipIf(!isRoot)(`is all with a lock of their own${isRoot ? "" : " (only root can make one)"}`, () =>
    Effect.gen(function* () {
      const { file } = yield* database
      Fs.writeFileSync(`${file}.lock`, "", { mode: 0o600 })
      assert.isUndefined(yield* found(file))
      Fs.chownSync(`${file}.lock`, 12_345, 12_345)
      assert.deepStrictEqual(yield* found(file), {
        found: `other users may read or write ${file}.lock (of user 12345, mode 0600)`,
        advice: `chown 0 ${file}.lock`
      })
    })
  )
})
