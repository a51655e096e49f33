import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Net from "node:net"
import { freePort } from "./FreePort.ts"
import { endWithUs } from "./Program.ts"
import { NotHere } from "./Rounds.ts"
import { until } from "./Until.ts"

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = Net.connect(port, "127.0.0.1", () => socket.write("PING\r\n"))
    socket.on("data", (data) => {
      socket.destroy()
      resolve(data.toString().startsWith("+PONG"))
    })
    socket.on("error", () => resolve(false))
    socket.on("close", () => resolve(false))
  })

/** A server of its own, on a free port, that appends every write to its log in that folder. */
export const startRedis = async (folder: string, appendfsync: string) => {
  const port = await freePort()
  const child = spawn(
    "redis-server",
    [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
      ...["--appendonly", "yes", "--appendfsync", appendfsync]
    ],
    { stdio: "ignore" }
  )
  const ended = endWithUs(child)
  await once(child, "spawn").catch(() => {
    throw new NotHere("redis-server is not installed")
  })
  await until("Redis answers", 30, () => answers(port))
  return {
    port,
    pid: child.pid ?? -1,
    kill: async () => {
      child.kill("SIGKILL")
      await ended
    }
  }
}
