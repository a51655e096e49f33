import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { makeFolder, ownerOnly } from "./FileAccess.ts"
import { lockSuffix } from "./LockFile.ts"
import { finishRestore, sync, waiting } from "./RestoreSwitch.ts"

/** The file behind links, be it there or not. Its folder is made. */
export const realFile = async (file: string) => {
  await makeFolder(Path.dirname(file))
  return Fs.realpath(file).catch(async () => Path.join(await Fs.realpath(Path.dirname(file)), Path.basename(file)))
}

/**
 * Gives a database that takes the place of another the mode and the owner of that one, and its lock the owner, who may be
 * another user than the one that puts it there.
 */
const giveTo = async (file: string, ready: string) => {
  const { gid, mode, uid } = await Fs.stat(file).catch(async () => ({
    ...(await Fs.stat(Path.dirname(file))),
    mode: ownerOnly
  }))
  await Fs.chmod(ready, mode & 0o777)
  if (process.getuid?.() !== 0) return
  for (const path of [ready, file + lockSuffix]) await Fs.chown(path, uid, gid)
}

/**
 * Puts a database that is whole, and synced, in the place of another, which is set aside: where to. From the moment that it has its
 * name it is put there by the next start, whatever happens. Only the holder of the lock may do it.
 */
export const putInPlace = async (file: string, ready: string, stamp: string): Promise<ReadonlyArray<string>> => {
  await giveTo(file, ready)
  await Fs.rename(ready, waiting(file, stamp))
  await sync(Path.dirname(file))
  return (await finishRestore(file)) ?? []
}
