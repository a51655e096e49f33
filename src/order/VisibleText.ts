/**
 * What is not seen where a text is shown, or steers what shows it: control characters (C0, DEL, C1), format characters
 * (bidirectional, zero-width, tags), separators of lines and paragraphs, halves of surrogate pairs, and all that Unicode
 * lets a font show as nothing. The joiners of emoji are among them: they hide as well as any other.
 */
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu

const short = new Map([
  ["\t", "\\t"],
  ["\n", "\\n"],
  ["\r", "\\r"]
])

const hex = (code: number) => code.toString(16).padStart(4, "0")

const escapeOf = (character: string) => {
  const code = character.codePointAt(0) ?? 0
  return short.get(character) ?? (code > 0xffff ? `\\u{${hex(code)}}` : `\\u${hex(code)}`)
}

/** A text from outside as one line in which all of it is seen: `\n`, `\u009b`, `\u{e0041}`. Other letters stay as they are. */
export const visible = (text: string) => text.replace(hidden, escapeOf)

/** The same of a text whose line breaks are our own. */
export const visibleLines = (text: string) => text.split("\n").map(visible).join("\n")

/** JSON of the same value, as `JSON.stringify` writes it, in which all is seen. */
export const visibleJson = (json: string) =>
  json.replace(hidden, (character) =>
    character === "\n"
      ? character
      : character
          .split("")
          .map((unit) => `\\u${hex(unit.charCodeAt(0))}`)
          .join("")
  )
