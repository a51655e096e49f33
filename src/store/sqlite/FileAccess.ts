import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { modeOf } from "../../FileMode.ts"
import { lockSuffix } from "./LockFile.ts"
import { statOf } from "./RestoreSwitch.ts"

/** Makes a folder, and those above it, for their owner alone, where they are missing. What is there stays as it is. */
export const makeFolder = (folder: string) => Fs.mkdir(folder, { recursive: true, mode: 0o700 })

/** Of a file that is made, whatever the umask allows. SQLite gives the `-wal` and the `-shm` the mode of the database. */
export const ownerOnly = 0o600

/** Makes an empty file for its owner alone. One that is there stays as it is, and is not even opened. */
export const makeFile = async (file: string) => {
  try {
    await (await Fs.open(file, "wx", ownerOnly)).close()
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause
  }
}

/** Whether anyone but its owner may pass every folder down to that one. */
const isReachable = async (folder: string): Promise<boolean> => {
  if (((await Fs.stat(folder)).mode & 0o011) === 0) return false
  const above = Path.dirname(folder)
  return above === folder || isReachable(above)
}

const word = (path: string) => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`)

/**
 * What users other than its owner may do with a database, and what to do about it; undefined if nothing, as where a folder
 * above is closed to them. Who may read it reads the orders; who may read the lock can keep the service from starting.
 * Takes the path that links lead to.
 */
export const othersAccess = async (
  file: string
): Promise<{ readonly found: string; readonly advice: string } | undefined> => {
  const folder = Path.dirname(file)
  if (!(await isReachable(folder))) return undefined
  const found: Array<string> = []
  const [open, foreign]: [Array<string>, Array<string>] = [[], []]
  const owner = (await Fs.stat(file)).uid
  for (const path of ["", "-wal", "-shm", lockSuffix].map((suffix) => file + suffix)) {
    const stats = await statOf(path)
    if (stats === undefined) continue
    const isForeign = stats.uid !== owner && stats.uid !== 0
    if ((stats.mode & 0o066) !== 0) open.push(path)
    if (isForeign) foreign.push(path)
    if (isForeign) found.push(`${path} (of user ${stats.uid}, ${modeOf(stats)})`)
    else if ((stats.mode & 0o066) !== 0) found.push(`${path} (${modeOf(stats)})`)
  }
  const stats = await Fs.stat(folder)
  const isWritable = (stats.mode & 0o022) !== 0
  if (isWritable) found.push(`the folder ${folder} (${modeOf(stats)})`)
  if (found.length === 0) return undefined
  const isShared = (stats.mode & 0o1000) !== 0
  const advice = [
    ...(open.length > 0 ? [`chmod 600 ${open.map(word).join(" ")}`] : []),
    ...(foreign.length > 0 ? [`chown ${owner} ${foreign.map(word).join(" ")}`] : []),
    ...(isWritable && !isShared ? [`chmod go-w ${word(folder)}`] : []),
    ...(isWritable && isShared ? ["move the database into a folder of its own"] : [])
  ]
  return { found: `other users may read or write ${found.join(", ")}`, advice: advice.join("; ") }
}
