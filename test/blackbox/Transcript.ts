import { createHash } from "node:crypto"
import type { Answer, Request } from "./Exchange.ts"
import { makePlaceholders } from "./Placeholders.ts"

/** Headers that say what the answer means; the others are the same on every route, or those of the connection. */
const kept = ["content-type", "location", "idempotent-replayed", "retry-after", "allow", "www-authenticate"] as const
/** Characters of a request's body, or of a page for people, that are written down. */
const readable = 1000

const shown = (body: string | Buffer) => {
  const text = typeof body === "string" ? body : `base64 ${body.toString("base64")}`
  if (text.length <= readable) return text
  const digest = createHash("sha256").update(body).digest("hex")
  return `${text.slice(0, readable)}... ${Buffer.byteLength(body)} bytes, SHA-256 ${digest}`
}

/** What was asked and answered, as a text in which only placeholders stand for what differs from run to run. */
export const makeTranscript = () => {
  const placeholders = makePlaceholders()
  const pieces: Array<string> = []

  return {
    exchange: ({ body, headers = {}, method = "GET", path }: Request, answer: Answer) => {
      const lines = [
        `> ${method} ${placeholders.asked(path)}`,
        ...Object.entries(headers).map(([name, value]) => `> ${name}: ${value}`),
        ...(body === undefined ? [] : [shown(body)]),
        `< ${answer.status}`,
        ...kept.flatMap((name) => (answer.headers[name] === undefined ? [] : [`< ${name}: ${answer.headers[name]}`])),
        answer.headers["content-type"]?.startsWith("text/html")
          ? shown(answer.text)
          : placeholders.answered(path, answer.text)
      ]
      pieces.push(lines.join("\n"))
    },
    /** What an event stream sent, up to an empty line. */
    block: (path: string, text: string) => pieces.push(`< from ${path}\n${placeholders.answered(path, text)}`),
    text: () => pieces.join("\n\n")
  }
}
