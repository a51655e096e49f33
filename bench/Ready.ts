import * as Http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "./FreePort.ts"
import type { Program } from "./Program.ts"

const isReady = (port: number) =>
  new Promise<boolean>((resolve) => {
    Http.get({ host: "127.0.0.1", port, path: "/readyz", agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    }).on("error", () => resolve(false))
  })

/** Starts a service and asks it every few milliseconds, until `/readyz` answers 200: how long that took. */
export const startUntilReady = async (start: (env: Record<string, string>) => Program) => {
  const port = await freePort()
  const program = start({ PORT: String(port) })
  // Waits for the whole start only to notice one that fails.
  const listening = program.listening.then(() => false)
  while (!(await isReady(port))) await Promise.race([sleep(3), listening.then(() => sleep(3))])
  return { program, url: `http://127.0.0.1:${port}`, seconds: (performance.now() - program.startedAt) / 1000 }
}
