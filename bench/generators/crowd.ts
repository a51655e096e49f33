import * as Net from "node:net"
import { newOrder } from "../NewOrder.ts"

/** Keeps so many clients of a kind connected until it is killed; one whose connection ends comes again. */
const [url = "", kind = "", given = "1"] = process.argv.slice(2)
const { hostname, port } = new URL(url)

interface Kind {
  readonly begin: (socket: Net.Socket) => void
  /** It takes one byte out of its connection when it is resumed. */
  readonly readsBytes?: boolean
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const list = get("/api/orders?limit=500")
/** The first order is never processed here, so that its end can be waited for. */
const wait = get("/api/order/1?wait=30")
const body = JSON.stringify(newOrder(1))
const head = "POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
const post = `${head}Content-Length: ${body.length}\r\n\r\n${body}`
const tlsHello = Buffer.from("16030100c8010000c40303", "hex")

const eachSecond = (socket: Net.Socket, act: () => void) => {
  const timer = setInterval(act, 1000)
  socket.once("close", () => clearInterval(timer))
}

const kinds: Record<string, Kind> = {
  silent: { begin: () => {} },
  "slow head": {
    begin: (socket) => {
      socket.write("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
      eachSecond(socket, () => socket.write("x"))
    }
  },
  "slow body": {
    begin: (socket) => {
      socket.write(`${head}Content-Length: 60000\r\n\r\n`)
      eachSecond(socket, () => socket.write(" "))
    }
  },
  "unread list": { begin: (socket) => socket.pause().write(list) },
  "list by bytes": {
    readsBytes: true,
    begin: (socket) => {
      socket.write(list)
      eachSecond(socket, () => socket.resume())
    }
  },
  "unread events": { begin: (socket) => socket.pause().write(get("/api/events")) },
  waiting: { begin: (socket) => socket.on("data", () => socket.write(wait)).write(wait) },
  pipelining: { begin: (socket) => socket.write(wait + get("/livez").repeat(1000)) },
  tls: { begin: (socket) => socket.write(tlsHello) },
  garbage: { begin: (socket) => socket.write(`${post}GARBAGE\r\n\r\n`) },
  "half-closed": { begin: (socket) => socket.end(wait) },
  idle: { begin: (socket) => socket.write(get("/livez")) }
}

const behaviour = kinds[kind]
if (behaviour === undefined) throw new Error(`There are ${Object.keys(kinds).join(", ")}; not ${kind}`)
let missing = Number(given)

const open = () => {
  const socket = Net.connect({
    host: hostname,
    port: Number(port),
    ...(behaviour.readsBytes ? { onread: { buffer: Buffer.alloc(1), callback: () => false } } : {})
  })
  socket.on("connect", () => {
    behaviour.begin(socket)
    missing -= 1
    if (missing === 0) process.stdout.write("READY\n")
  })
  socket.on("error", () => {}).on("close", () => setTimeout(open, 1000))
  if (!kind.startsWith("unread") && !behaviour.readsBytes) socket.resume()
}

/** So many at a time as a backlog takes. */
const openMore = (count: number) => {
  for (let opened = 0; opened < Math.min(count, 200); opened++) open()
  if (count > 200) setTimeout(() => openMore(count - 200), 100)
}
openMore(missing)
