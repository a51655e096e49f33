import * as Fs from "node:fs"
import { isatty } from "node:tty"
import { Predicate } from "effect"

/** What is kept of an output that cannot be written; beyond it lines are dropped and counted. In bytes. */
const maxKept = 1024 * 1024
const retryMillis = 250
const noticeMillis = 60_000

export interface OutputNotices {
  /** It cannot be written, and why. Called once a minute at most. */
  readonly onTrouble: (why: string) => void
  /** It is written again, after so many lines were lost. */
  readonly onRecovery: (why: string, lost: number) => void
}

/**
 * A terminal that was stopped would hold up the whole process: where it can be opened once more, writing to that does
 * not block. Of the others, a pipe does not block as soon as Node has made a stream of it.
 */
const open = (fd: number) => {
  if (!isatty(fd)) return fd
  try {
    const { O_NOCTTY, O_NONBLOCK, O_WRONLY } = Fs.constants
    return Fs.openSync(`/dev/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY)
  } catch {
    return fd
  }
}

const codeOf = (error: unknown) =>
  Predicate.hasProperty(error, "code") && Predicate.isString(error.code) ? error.code : String(error)

/**
 * Takes over the writing of an output of the process, so that nothing that becomes of it, be it a reader that went away
 * or never reads or a full disk, ends the service, holds it up or fills its memory. What cannot be written is kept, as
 * far as there is room for it, and tried again.
 */
export const guardOutput = (stream: NodeJS.WriteStream & { fd: 1 | 2 }, notices: OutputNotices) => {
  const fd = open(stream.fd)
  let kept: Array<Buffer> = []
  let keptBytes = 0
  let lost = 0
  let trouble: string | undefined
  let noticedAt = Number.NEGATIVE_INFINITY
  let retrying = false

  const begin = (why: string) => {
    if (trouble !== undefined) return
    trouble = why
    if (performance.now() - noticedAt < noticeMillis) return
    noticedAt = performance.now()
    notices.onTrouble(why)
  }

  const recover = () => {
    if (trouble === undefined) return
    const [why, count] = [trouble, lost]
    trouble = undefined
    lost = 0
    notices.onRecovery(why, count)
  }

  const flush = () => {
    try {
      for (let [first] = kept; first !== undefined; [first] = kept) {
        const written = Fs.writeSync(fd, first)
        keptBytes -= written
        if (written < first.length) kept[0] = first.subarray(written)
        else kept.shift()
      }
    } catch (error) {
      // Full for the moment: that is trouble only once something is lost.
      if (codeOf(error) !== "EAGAIN") begin(codeOf(error))
      if (!retrying) setTimeout(retry, retryMillis).unref()
      retrying = true
      return
    }
    kept = []
    recover()
  }

  const retry = () => {
    retrying = false
    flush()
  }

  const write = (text: string | Uint8Array, encoding?: BufferEncoding) => {
    const bytes = typeof text === "string" ? Buffer.from(text, encoding) : Buffer.from(text)
    if (keptBytes + bytes.length > maxKept && kept.length > 0) {
      lost += 1
      begin("its reader does not read")
      return
    }
    kept.push(bytes)
    keptBytes += bytes.length
    flush()
  }

  stream.write = (
    text: string | Uint8Array,
    encoding?: BufferEncoding | ((error?: Error) => void),
    done?: (error?: Error) => void
  ) => {
    write(text, typeof encoding === "string" ? encoding : undefined)
    const written = typeof encoding === "function" ? encoding : done
    if (written !== undefined) process.nextTick(written)
    return true
  }
  stream.on("error", () => {})
  process.on("exit", flush)
}
