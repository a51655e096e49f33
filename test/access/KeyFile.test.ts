import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { hashOf, isKey, randomKey } from "../../src/access/ApiKey.ts"
import { readKeyFile } from "../../src/access/KeyFile.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

const line = (name: string, key = randomKey()) => `${name} read sha256:${hashOf(key)}`

const written = (text: string, mode = 0o600) =>
  Effect.map(temporaryFolder, (folder) => {
    const file = Path.join(folder, "keys")
    Fs.writeFileSync(file, text)
    Fs.chmodSync(file, mode)
    return file
  })

const mistakes = (file: string) => Either.getOrThrow(Either.flip(readKeyFile(file)))

describe("A new key", () => {
  it("has 32 letters and digits of chance", () => {
    const keys = new Set(Array.from({ length: 1000 }, randomKey))
    assert.lengthOf(Array.from(keys), 1000)
    for (const key of keys) {
      assert.match(key, /^ord_[A-Za-z0-9]{32}$/)
      assert.isTrue(isKey(key))
    }
  })

  it("is kept as sha256sum has it", () => {
    assert.strictEqual(hashOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  })
})

describe("The file of keys", () => {
  it.scoped("has a line for each, and comments", () =>
    Effect.gen(function* () {
      const key = randomKey()
      const file = yield* written(`# the keys\r\n\n${line("shop", key)}\r\n   # another\n${line("warehouse")}`)
      const keys = Either.getOrThrow(readKeyFile(file))
      assert.deepStrictEqual(
        Array.from(keys.values(), ({ name }) => name),
        ["shop", "warehouse"]
      )
      assert.strictEqual(keys.get(hashOf(key))?.name, "shop")
    })
  )

  it.scoped("may have two keys of one name, so that the next can be handed out before the former ends", () =>
    Effect.gen(function* () {
      const keys = Either.getOrThrow(readKeyFile(yield* written(`${line("shop")}\n${line("shop")}`)))
      assert.strictEqual(keys.size, 2)
    })
  )

  it.scoped("is refused with each of its mistakes", () =>
    Effect.gen(function* () {
      const twice = line("shop")
      const found = mistakes(yield* written(`${twice}\nshop all sha256:00\n${twice}`))
      assert.lengthOf(found, 2)
      assert.match(found[0] ?? "", /^line 2: the scopes of shop/)
      assert.match(found[1] ?? "", /^line 3: another line has the same key/)
    })
  )

  it.scoped("is refused without a key", () =>
    Effect.gen(function* () {
      for (const text of ["", "\n", "# shop read\n"]) {
        assert.match(mistakes(yield* written(text)).join(), /^it has no key: add one with orders keys new$/)
      }
    })
  )

  for (const mode of [0o620, 0o602, 0o666, 0o777]) {
    it.scoped(`is refused where others may write it: ${mode.toString(8)}`, () =>
      Effect.gen(function* () {
        const file = yield* written(line("shop"), mode)
        assert.strictEqual(
          mistakes(file).join(),
          `users other than its owner can write it (mode 0${mode.toString(8)}): chmod go-w ${file}`
        )
      })
    )
  }

  for (const mode of [0o600, 0o400, 0o644, 0o755]) {
    it.scoped(`is read where others may not: ${mode.toString(8)}`, () =>
      Effect.gen(function* () {
        assert.isTrue(Either.isRight(readKeyFile(yield* written(line("shop"), mode))))
      })
    )
  }

  it.scoped.skipIf(process.geteuid?.() !== 0)(
    "is refused where it belongs to another user (needs root to make one)",
    () =>
      Effect.gen(function* () {
        const file = yield* written(line("shop"))
        Fs.chownSync(file, 12_345, 0)
        assert.strictEqual(mistakes(file).join(), `it belongs to another user (uid 12345): chown 0 ${file}`)
      })
  )

  it.scoped("is judged by what a link leads to", () =>
    Effect.gen(function* () {
      const file = yield* written(line("shop"), 0o666)
      Fs.symlinkSync(file, `${file}.link`)
      assert.match(mistakes(`${file}.link`).join(), /can write it/)
    })
  )

  it.scoped("is refused as a folder, a device, a file that is too large, no text or not there", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      assert.strictEqual(mistakes(folder).join(), "cannot be read: not a regular file")
      assert.strictEqual(mistakes("/dev/zero").join(), "cannot be read: not a regular file")
      assert.match(mistakes(Path.join(folder, "none")).join(), /^cannot be read: ENOENT/)
      assert.match(mistakes(yield* written("#".repeat(1024 * 1024 + 1))).join(), /longer than 1024 KiB/)
      const file = yield* written(line("shop"))
      Fs.writeFileSync(file, Buffer.from([0xff]))
      assert.strictEqual(mistakes(file).join(), "cannot be read: not UTF-8")
    })
  )
})
