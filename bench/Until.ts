import { setTimeout as sleep } from "node:timers/promises"

/** Asks again every 20 ms until it is so. Throws when it is not so in time. */
export const until = async (what: string, seconds: number, isSo: () => Promise<boolean>) => {
  const deadline = performance.now() + seconds * 1000
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`${what}: not so within ${seconds} s`)
    await sleep(20)
  }
}
