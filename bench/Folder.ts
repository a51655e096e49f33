import * as Fs from "node:fs"
import * as Path from "node:path"

const kinds = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x794c7630, "overlayfs"],
  [0x01021994, "tmpfs"]
])

const root = Path.resolve(process.env.BENCH_FOLDER ?? Path.join(import.meta.dirname, "data"))

/** What the folders of the contestants stand on. In memory a sync costs nothing, and the figures would mean nothing. */
export const fileSystem = () => {
  Fs.mkdirSync(root, { recursive: true })
  const { type } = Fs.statfsSync(root)
  const kind = kinds.get(type) ?? `type 0x${type.toString(16)}`
  if (kind === "tmpfs") throw new Error(`${root} is in memory: set BENCH_FOLDER to a folder on a disk`)
  return kind
}

export const freeGigabytes = () => {
  const { bavail, bsize } = Fs.statfsSync(root)
  return (bavail * bsize) / 1e9
}

const made = new Set<string>()
process.on("exit", () => made.forEach(removeFolder))

export const makeFolder = () => {
  Fs.mkdirSync(root, { recursive: true })
  const folder = Fs.mkdtempSync(Path.join(root, "run-"))
  made.add(folder)
  return folder
}

export function removeFolder(folder: string) {
  Fs.rmSync(folder, { recursive: true, force: true })
  made.delete(folder)
}

/** What a fresh folder's disk takes to sync 4 KiB: the median in milliseconds. */
export const syncMillis = () => {
  const folder = makeFolder()
  const file = Fs.openSync(Path.join(folder, "sync"), "w")
  const page = Buffer.alloc(4096, 1)
  const times = Array.from({ length: 101 }, () => {
    const startedAt = performance.now()
    Fs.writeSync(file, page)
    Fs.fdatasyncSync(file)
    return performance.now() - startedAt
  })
  Fs.closeSync(file)
  removeFolder(folder)
  return times.sort((a, b) => a - b)[50] ?? 0
}
