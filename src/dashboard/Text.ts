import { visible } from "../order/VisibleText.ts"

/** A part of a text that comes from outside: written from right to left, it turns nothing round but itself. */
export class Outside {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }

  toString() {
    return this.text
  }
}

export type Text = string | ReadonlyArray<string | Outside>

export const partsOf = (text: Text) => (typeof text === "string" ? [text] : text)

/** What of it is to be read. */
export const plainText = (text: Text) => visible(partsOf(text).join(""))

/** Each text in JSON, which may be written in any direction, and what stands between them. */
export const partsOfJson = (json: string): Text =>
  json.split(/("(?:[^"\\]|\\.)*")/).map((part) => (part.startsWith('"') ? new Outside(part) : part))
