/** Options without a value; what comes after any other is its value. */
const flags = new Set(["--all", "--help", "--json", "--version", "--wizard", "--yes"])

/**
 * `--name=value` as two words: @effect/cli loses it where an option may be given more than once. Values are left as
 * they are, and all that comes after `--`.
 */
export const splitOptions = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const split: Array<string> = []
  let isValue = false
  for (const [index, word] of words.entries()) {
    if (!isValue && word === "--") return [...split, ...words.slice(index)]
    const match: RegExpExecArray | null = isValue ? null : /^(--[a-z-]+)=(.*)$/s.exec(word)
    split.push(...(match ? match.slice(1) : [word]))
    isValue = !isValue && match === null && /^--[a-z-]+$/.test(word) && !flags.has(word)
  }
  return split
}
