import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { Database } from "better-sqlite3"
import { Effect, Schedule } from "effect"
import { loadDriver } from "../../src/store/sqlite/SqliteDriver.ts"
import { command } from "../support/CliCommand.ts"
import { cli } from "../support/CliProcess.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { copyOf, temporaryFolder } from "../support/TestLayers.ts"

const Sqlite = loadDriver()

const settings = { PROCESSING_TIME: "1 minute", WORKERS: "2", SHUTDOWN_GRACE: "0 millis" }

const submit = (url: string, ids: ReadonlyArray<number>) =>
  Effect.forEach(ids, (id) =>
    Effect.map(
      Effect.promise(() => post(url, aNewOrder(id))),
      ({ status }) => assert.strictEqual(status, 202)
    )
  )

const read = <A>(file: string, use: (db: Database) => A) => {
  const db = new Sqlite(file, { readonly: true })
  try {
    return use(db)
  } finally {
    db.close()
  }
}

const idsIn = (file: string) =>
  read(file, (db) => db.prepare("SELECT order_id FROM orders ORDER BY seq").pluck().all().map(Number))

const statusOf = (url: string, id: number) =>
  Effect.promise(() => fetch(`${url}/api/order/${id}`).then(({ status }) => status))

interface Changes {
  readonly changes: ReadonlyArray<{ readonly id: number; readonly order_id: number; readonly to: string }>
  readonly next: string
  readonly reset?: { readonly oldest: number }
}

const changesAfter = (url: string, after: number) =>
  Effect.promise(() =>
    fetch(`${url}/api/changes?after=${after}&limit=1000`).then(
      async (answer): Promise<Changes> => JSON.parse(await answer.text())
    )
  )

const lastChange = (url: string) => Effect.map(changesAfter(url, 0), ({ next }) => Number(next))

const files = (folder: string) => Fs.readdirSync(folder).sort()

const backup = (folder: string, to: string) => command(["backup", to], { folder })
const restore = (folder: string, from: string) => command(["restore", from], { folder })

const fails = Effect.fnUntraced(function* (run: ReturnType<typeof command>, line: RegExp, exit = 1) {
  const { code, stderr, stdout } = yield* run
  assert.strictEqual(code, exit, stdout + stderr)
  assert.strictEqual(stdout, "")
  assert.match(stderr, line)
})

/** A folder with a database of orders 1, 2 and 3, a backup of it, and orders that came later. */
const folderOf = (signal: "SIGTERM" | "SIGKILL", later: ReadonlyArray<number> = []) =>
  copyOf(
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { child, exited, url } = yield* startService(folder, settings)
      yield* submit(url, [1, 2, 3])
      assert.strictEqual((yield* backup(folder, "backup.db")).code, 0)
      yield* submit(url, later)
      child.kill(signal)
      yield* exited
      return folder
    })
  ).pipe(Effect.map((folder) => ({ folder, file: Path.join(folder, "data/orders.db") })))

const stopped = folderOf("SIGTERM")
const killed = folderOf("SIGKILL", [4])

describe("orders backup", { timeout: 300_000 }, () => {
  it.scopedLive("copies what was acknowledged, night after night, beside a service that goes on", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { url } = yield* startService(folder, settings)
      Fs.mkdirSync(Path.join(folder, "nights"))
      for (const night of [1, 2, 3]) {
        yield* submit(url, [night])
        const { code, stderr, stdout } = yield* backup(folder, "nights")
        assert.strictEqual(code, 0, stdout + stderr)
        assert.match(stdout, /^checked +ok$/m)
        const name = /^backup +(\S+)$/m.exec(stdout)?.[1] ?? ""
        assert.match(name, /\/nights\/orders-\d{8}T\d{6}Z(-\d)?\.db$/)
        assert.lengthOf(idsIn(name), night)
        // The same name each night is as good.
        assert.strictEqual((yield* backup(folder, "always.db")).code, 0)
        assert.lengthOf(idsIn(Path.join(folder, "always.db")), night)
        assert.strictEqual(Fs.statSync(name).mode & 0o777, 0o600)
        assert.strictEqual(Fs.statSync(Path.join(folder, "always.db")).mode & 0o777, 0o600)
      }
      // Each is one file, and nothing else is left.
      assert.lengthOf(files(Path.join(folder, "nights")), 3)
      assert.deepStrictEqual(files(folder), ["always.db", "data", "nights"])
      yield* submit(url, [4])
      assert.strictEqual((yield* command(["doctor", "--database", "always.db"], { folder })).code, 0)
      const json = yield* cli(["backup", "--json", "--database", "file:data/orders.db", "other.db"], { folder })
      const { backup: file, ok, orders } = JSON.parse(json.stdout)
      assert.deepStrictEqual([file, ok, orders], [Path.join(Fs.realpathSync(folder), "other.db"), true, 4])
    })
  )

  it.scopedLive("copies one moment while orders pour in", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { url } = yield* startService(folder, { PROCESSING_TIME: "0 millis" })
      let id = 0
      const pour = Effect.forkScoped(
        Effect.forever(Effect.suspend(() => Effect.promise(() => post(url, aNewOrder(++id)).then((r) => r.text()))))
      )
      for (const _ of Array.from({ length: 8 })) yield* pour
      yield* Effect.repeat(
        Effect.sync(() => id),
        { until: (id) => id > 300, schedule: Schedule.spaced("10 millis") }
      )
      const before = id - 8
      // From another process, as this one goes on pouring.
      const { code, stdout } = yield* cli(["backup", "backup.db"], { folder })
      assert.strictEqual(code, 0, stdout)
      const ids = idsIn(Path.join(folder, "backup.db"))
      assert.isAtLeast(ids.length, before)
      assert.isTrue(Array.from({ length: before }, (_, index) => index + 1).every((id) => ids.includes(id)))
      assert.strictEqual((yield* command(["doctor", "--database", "backup.db"], { folder })).code, 0)
    })
  )

  it.scopedLive("replaces nothing but a backup, and makes no folder", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* killed
      const before = Fs.readFileSync(file)
      Fs.writeFileSync(Path.join(folder, "notes.txt"), "remember the milk\n".repeat(9))
      new Sqlite(Path.join(folder, "other.db")).exec("CREATE TABLE things (id)").close()
      yield* fails(backup(folder, "notes.txt"), /notes\.txt is there and is no backup/)
      yield* fails(backup(folder, "other.db"), /other\.db is there and is no backup/)
      yield* fails(backup(folder, "data/orders.db"), /orders\.db is a database in use/)
      Fs.symlinkSync(file, Path.join(folder, "link.db"))
      yield* fails(backup(folder, "link.db"), /orders\.db is a database in use/)
      Fs.rmSync(Path.join(folder, "link.db"))
      yield* fails(backup(folder, "nowhere/backup.db"), /There is no folder .*nowhere: make it first/)
      yield* fails(backup(folder, "nowhere/"), /There is no folder .*nowhere: make it first/)
      yield* fails(backup(folder, "~/backup.db"), /~ is not read as the home folder/, 2)
      yield* fails(
        command(["backup", "--database", "~/x.db", "b.db"], { folder }),
        /~ is not read as the home folder/,
        2
      )
      yield* fails(command(["backup", "--database", "x.db", "b.db"], { folder }), /There is no database at .*x\.db/, 2)
      assert.isTrue(before.equals(Fs.readFileSync(file)))
      assert.deepStrictEqual(files(folder), ["backup.db", "data", "notes.txt", "other.db"])
    })
  )

  it.scopedLive("of a damaged database fails, and keeps the backup there is", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* stopped
      const root = read(file, (db) =>
        Number(db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'orders_user'").pluck().get())
      )
      Fs.writeFileSync(file, Fs.readFileSync(file).fill(0xff, (root - 1) * 4096, (root - 1) * 4096 + 64))
      const kept = Fs.readFileSync(Path.join(folder, "backup.db"))
      yield* fails(backup(folder, "backup.db"), /is damaged, so it is not copied/)
      assert.isTrue(kept.equals(Fs.readFileSync(Path.join(folder, "backup.db"))))
      assert.deepStrictEqual(files(folder), ["backup.db", "data"])
    })
  )

  it.scopedLive("that finds no room says so, and leaves nothing", () =>
    Effect.gen(function* () {
      const { folder } = yield* stopped
      const kept = Fs.readFileSync(Path.join(folder, "backup.db"))
      // No file may be longer than eight kilobytes: the nearest thing to a full disk that needs no rights.
      const script = `trap '' XFSZ; ulimit -f 16; exec "${process.execPath}" "${Path.resolve("dist/cli.js")}" backup backup.db`
      const child = spawn("sh", ["-c", script], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] })
      let stderr = ""
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text
      })
      const [code] = yield* Effect.promise(() => once(child, "close"))
      assert.strictEqual(code, 1, stderr)
      assert.match(stderr, /^(No room in|.*cannot be copied to) /)
      assert.isTrue(kept.equals(Fs.readFileSync(Path.join(folder, "backup.db"))))
      assert.deepStrictEqual(files(folder), ["backup.db", "data"])
    })
  )
})

describe("orders restore", { timeout: 300_000 }, () => {
  it.scopedLive("after a crash brings the backup back, sets the rest aside, and the service goes on", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* killed
      assert.isAbove(Fs.statSync(`${file}-wal`).size, 0)
      const { code, stderr, stdout } = yield* cli(["restore", "backup.db"], { folder })
      assert.strictEqual(code, 0, stdout + stderr)
      assert.match(stdout, /^holds +3 orders, 1 MB$/m)
      const former = /^former +(\S+), (\S+)-wal$/m.exec(stdout)
      assert.strictEqual(former?.[1], former?.[2])
      assert.match(former?.[1] ?? "", /orders\.db\.before-\d{8}T\d{6}Z$/)
      // The former one is whole, with what came after the backup.
      assert.deepStrictEqual(idsIn(former?.[1] ?? ""), [1, 2, 3, 4])

      const { child, exited, output, url } = yield* startService(folder, settings)
      assert.notInclude(output.stdout, "Checking the whole of")
      assert.deepStrictEqual(yield* Effect.all([statusOf(url, 1), statusOf(url, 3), statusOf(url, 4)]), [200, 200, 404])
      yield* submit(url, [4, 6])
      yield* fails(restore(folder, "backup.db"), /orders\.db is in use by another process: stop that one first/)
      yield* submit(url, [7])
      child.kill("SIGTERM")
      assert.strictEqual(yield* exited, 0)
      assert.deepStrictEqual(idsIn(file), [1, 2, 3, 4, 6, 7])
      assert.strictEqual((yield* command(["doctor"], { folder })).code, 0)
    })
  )

  for (const [how, place] of [
    ["by `orders restore`", (folder: string) => restore(folder, "backup.db")],
    [
      "by hand",
      (folder: string) =>
        Effect.sync(() => {
          Fs.rmSync(Path.join(folder, "data"), { recursive: true })
          Fs.mkdirSync(Path.join(folder, "data"))
          Fs.copyFileSync(Path.join(folder, "backup.db"), Path.join(folder, "data/orders.db"))
        })
    ]
  ] as const) {
    it.scopedLive(`${how} gives changes ids that none had, and sends those on who know others`, () =>
      Effect.gen(function* () {
        const { folder } = yield* stopped
        const before = yield* Effect.scoped(
          Effect.gen(function* () {
            const { child, exited, url } = yield* startService(folder, settings)
            const saved = yield* lastChange(url)
            yield* submit(url, [4, 5])
            const last = yield* lastChange(url)
            assert.isAbove(last, saved)
            child.kill("SIGTERM")
            yield* exited
            return { saved, last }
          })
        )
        yield* place(folder)
        assert.strictEqual((yield* command(["doctor"], { folder })).code, 0)

        const { url } = yield* startService(folder, settings)
        const begun = yield* lastChange(url)
        assert.isAbove(begun, before.last + 1_000_000)
        yield* submit(url, [6])
        for (const after of [1, before.saved, before.last, before.last + 1000]) {
          const { changes, reset } = yield* changesAfter(url, after)
          assert.isAbove(reset?.oldest ?? 0, before.last)
          assert.isTrue(changes.every(({ id }) => id > before.last))
          assert.deepInclude(
            changes.map(({ order_id, to }) => ({ order_id, to })),
            { order_id: 6, to: "Pending" }
          )
        }
        const { changes } = yield* Effect.promise(() =>
          fetch(`${url}/api/order/1/history`).then(async (answer): Promise<Changes> => JSON.parse(await answer.text()))
        )
        assert.deepInclude(changes[0], { order_id: 1, to: "Pending" })
        assert.isBelow(changes[0]?.id ?? before.last, before.last)
        assert.strictEqual((yield* command(["doctor"], { folder })).code, 0)
      })
    )
  }

  it.scopedLive("puts a backup where no database was", () =>
    Effect.gen(function* () {
      const { folder } = yield* stopped
      const { code, stdout } = yield* cli(["restore", "backup.db", "--database", "new/place/orders.db", "--json"], {
        folder
      })
      assert.strictEqual(code, 0)
      const { aside, errors, orders } = JSON.parse(stdout)
      assert.deepStrictEqual([aside, errors, orders], [[], [], 3])
      const placed = Path.join(folder, "new/place/orders.db")
      assert.deepStrictEqual(idsIn(placed), [1, 2, 3])
      const modes = [Path.join(folder, "new"), Path.dirname(placed), placed, `${placed}.lock`].map((path) =>
        (Fs.statSync(path).mode & 0o777).toString(8)
      )
      assert.deepStrictEqual(modes, ["700", "700", "600", "600"])
    })
  )

  it.scopedLive("refuses what is no sound backup, and changes nothing", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* killed
      const whole = Fs.readFileSync(Path.join(folder, "backup.db"))
      Fs.writeFileSync(Path.join(folder, "half.db"), whole.subarray(0, whole.length / 2))
      Fs.writeFileSync(Path.join(folder, "damaged.db"), Buffer.from(whole).fill(0xa5, 8192, 12_288))
      Fs.writeFileSync(Path.join(folder, "notes.txt"), "remember the milk\n".repeat(9))
      Fs.writeFileSync(Path.join(folder, "empty.db"), "")
      new Sqlite(Path.join(folder, "other.db")).exec("CREATE TABLE things (id)").close()
      const data = Path.join(folder, "data")
      const contents = () =>
        files(data)
          .filter((name) => !/-shm$|\.lock/.test(name))
          .map((name) => [name, Fs.readFileSync(Path.join(data, name)).toString("latin1")])
      const before = contents()
      yield* fails(restore(folder, "half.db"), /half\.db is damaged/)
      yield* fails(restore(folder, "damaged.db"), /damaged\.db is damaged/)
      yield* fails(restore(folder, "notes.txt"), /notes\.txt is damaged, or no database/)
      yield* fails(restore(folder, "empty.db"), /empty\.db is empty/)
      yield* fails(restore(folder, "other.db"), /other\.db is a database of another program/)
      yield* fails(restore(folder, "nothing.db"), /There is no backup at .*nothing\.db/, 2)
      yield* fails(restore(folder, "data"), /is a folder: name one of the backups/, 2)
      yield* fails(restore(folder, file), /is the database itself/, 2)
      assert.deepStrictEqual(contents(), before)
    })
  )

  it.scopedLive("that a crash cuts off at any point is finished by the next start", () =>
    Effect.gen(function* () {
      const { file, folder } = yield* killed
      const stamp = "20261123T142120Z"
      const aside = `${file}.before-${stamp}`
      const steps = [
        () => Fs.copyFileSync(Path.join(folder, "backup.db"), `${file}.restore-${stamp}`),
        () => Fs.renameSync(`${file}-wal`, `${aside}-wal`),
        () => Fs.renameSync(file, aside),
        () => Fs.rmSync(`${file}-shm`)
      ]
      const data = Path.join(folder, "data")
      Fs.cpSync(data, `${data}.crashed`, { recursive: true, preserveTimestamps: true })
      for (const [done] of steps.entries()) {
        Fs.rmSync(data, { recursive: true })
        Fs.cpSync(`${data}.crashed`, data, { recursive: true, preserveTimestamps: true })
        for (const step of steps.slice(0, done + 1)) step()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { child, exited, output, url } = yield* startService(folder, settings)
            assert.deepStrictEqual(yield* Effect.all([statusOf(url, 3), statusOf(url, 4)]), [200, 404])
            assert.include(output.stdout, "Finished a restore that was interrupted")
            child.kill("SIGTERM")
            assert.strictEqual(yield* exited, 0)
          })
        )
        assert.deepStrictEqual(idsIn(file), [1, 2, 3])
        assert.deepStrictEqual(idsIn(aside), [1, 2, 3, 4])
      }
    })
  )
})
