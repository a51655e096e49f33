/**
 * `--name=value` as two words: @effect/cli loses it where an option may be given more than once. Values are left as
 * they are, and all that comes after `--`. What comes after an option that is not one of the flags is its value.
 */
export const splitOptions = (
  words: ReadonlyArray<string>,
  flags: ReadonlySet<string>
): { readonly words: ReadonlyArray<string>; readonly given: ReadonlySet<string> } => {
  const split: Array<string> = []
  const given = new Set<string>()
  let isValue = false
  for (const [index, word] of words.entries()) {
    if (!isValue && word === "--") return { words: [...split, ...words.slice(index)], given }
    const match: RegExpExecArray | null = isValue ? null : /^(--[a-z-]+)=(.*)$/s.exec(word)
    split.push(...(match ? match.slice(1) : [word]))
    const [name = word] = match?.slice(1) ?? []
    if (!isValue && flags.has(name)) given.add(name)
    isValue = !isValue && match === null && /^--[a-z-]+$/.test(word) && !flags.has(word)
  }
  return { words: split, given }
}
