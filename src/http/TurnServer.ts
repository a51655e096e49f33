import * as Http from "node:http"
import type { Socket } from "node:net"

/** While more requests than this wait on a connection behind the one in hand, nothing more is read from it. */
const maxWaiting = 16

/** While more than this wait on all connections together, the connection with the most of them is cut off. */
const maxWaitingInAll = 10_000

/** What Node emits for a request. */
const asked = new Set(["request", "checkExpectation"])

/** What is known of a connection. */
interface Line {
  readonly socket: Socket
  /** The answers it is still owed, the one to be sent next first. */
  readonly owed: Set<Http.ServerResponse>
  /** How many of them belong to requests that wait for their turn. */
  waiting: number
  /** It is closed once all requests that have arrived whole are answered. */
  isLast: boolean
}

/**
 * Node's HTTP server, but that it emits `request` for one request of a connection at a time, and for a pipelined one
 * (RFC 9112, 9.3.2) in a later turn of the event loop than the answer before it. What waits is not begun if the
 * connection ends before.
 */
export class TurnServer extends Http.Server {
  readonly #lines = new Map<Socket, Line>()
  #waiting = 0

  constructor(options: Http.ServerOptions) {
    super(options)
    this.on("connection", (socket) => {
      const line: Line = { socket, owed: new Set(), waiting: 0, isLast: false }
      this.#lines.set(socket, line)
      socket.once("close", () => this.#forget(line))
      // Who reads the body of a request resumes its connection.
      socket.on("resume", () => {
        if (line.waiting > maxWaiting) socket.pause()
      })
    })
  }

  /** The connections on which an answer is owed. */
  get owing(): ReadonlyArray<Socket> {
    return Array.from(this.#lines.values()).flatMap(({ owed, socket }) => (owed.size > 0 ? [socket] : []))
  }

  /** Whether an answer is owed on the connection, be it to a request that has not arrived whole. */
  owes(socket: Socket) {
    return (this.#lines.get(socket)?.owed.size ?? 0) > 0
  }

  /** Closes the connection once all requests that have arrived whole are answered; false if there is none. */
  closeWhenAnswered(socket: Socket) {
    const line = this.#lines.get(socket)
    if (line === undefined || !owesAnswer(line)) return false
    line.isLast = true
    return true
  }

  override emit(event: string, ...args: Array<unknown>): boolean {
    const [request, response] = args
    if (!(asked.has(event) && request instanceof Http.IncomingMessage && response instanceof Http.ServerResponse)) {
      return super.emit(event, ...args)
    }
    const line = this.#lines.get(request.socket)
    // The rest of what was read at once from a connection that is cut off.
    if (line === undefined) return true
    line.owed.add(response)
    response.once("close", () => {
      line.owed.delete(response)
      if (line.isLast && !owesAnswer(line)) line.socket.destroySoon()
    })
    if (response.socket !== null) return super.emit(event, ...args)

    this.#lengthen(line)
    response.once("socket", () => {
      this.#shorten(line)
      // Else all that wait on a connection would be answered in one turn, and every other connection after them.
      setImmediate(() => response.destroyed || super.emit(event, ...args))
    })
    return true
  }

  #lengthen(line: Line) {
    line.waiting += 1
    this.#waiting += 1
    if (line.waiting === maxWaiting + 1) line.socket.pause()
    if (this.#waiting <= maxWaitingInAll) return
    const longest = Array.from(this.#lines.values()).reduce((most, line) => (line.waiting > most.waiting ? line : most))
    longest.socket.destroy()
    this.#forget(longest)
  }

  #shorten(line: Line) {
    line.waiting -= 1
    this.#waiting -= 1
    if (line.waiting === maxWaiting) line.socket.resume()
  }

  #forget(line: Line) {
    this.#waiting -= line.waiting
    line.waiting = 0
    this.#lines.delete(line.socket)
  }
}

const owesAnswer = ({ owed }: Line) => Array.from(owed).some(({ req }) => req.complete)
