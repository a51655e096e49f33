import { Effect } from "effect"

/**
 * One of the two streams a command writes to. Its reader may leave, and its disk may be full: that is noted, and
 * never ends the process by itself.
 */
export class Outlet {
  readonly name: string
  private readonly stream: NodeJS.WriteStream
  /** How the system names what went wrong first, such as EPIPE. From then on nothing is written. */
  lost: string | undefined

  constructor(name: string, stream: NodeJS.WriteStream) {
    this.name = name
    this.stream = stream
    stream.on("error", (error) => {
      this.lost ??= "code" in error ? String(error.code) : error.message
    })
  }

  /** Waits for a slow reader rather than keep what it has not read. */
  readonly write = (text: string) =>
    Effect.async<void>((resume) => {
      if (this.lost !== undefined) return resume(Effect.void)
      const isTaken = this.stream.write(text, () => {
        if (!isTaken) resume(Effect.void)
      })
      if (isTaken) resume(Effect.void)
    })

  /** All that was written has left this process, or is lost. */
  readonly flushed = Effect.async<void>((resume) => {
    this.stream.write("", () => resume(Effect.void))
  })

  /** Ends when something is lost. */
  readonly failed = Effect.async<void>((resume) => {
    const fail = () => resume(Effect.void)
    if (this.lost !== undefined) return fail()
    this.stream.once("error", fail)
    return Effect.sync(() => this.stream.off("error", fail))
  })
}
