/** They ask for no more than that their text goes along with the code. */
const allowed = [
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "Unlicense"
]

/** Whether code under an SPDX licence expression may be shipped. What cannot be read is refused, and so is any exception (`WITH`). */
export const isAllowed = (expression: string): boolean => {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  let at = 0
  const joined = (operator: string, part: () => boolean, join: (all: boolean, one: boolean) => boolean) => {
    let result = part()
    while (tokens[at] === operator) {
      at += 1
      result = join(result, part())
    }
    return result
  }
  const term = (): boolean => {
    const token = tokens[at++] ?? ""
    return token === "(" ? any() && tokens[at++] === ")" : allowed.includes(token)
  }
  const all = () => joined("AND", term, (all, one) => all && one)
  const any = (): boolean => joined("OR", all, (all, one) => all || one)
  return any() && at === tokens.length
}

interface Entry {
  /** Given where it is not that of the folder. */
  readonly name?: string
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  readonly link?: boolean
}

/** What is used of package-lock.json, version 3. */
export interface Lockfile {
  readonly packages: Readonly<Record<string, Entry>>
}

/** The packages that production needs, optional ones too, by where they are installed. */
export const productionOf = ({ packages }: Lockfile) =>
  Object.entries(packages).filter(([path, { dev, link }]) => path !== "" && dev !== true && link !== true)

/** One line for each package of production that may not be shipped. */
export const refused = (lockfile: Lockfile) =>
  productionOf(lockfile).flatMap(([path, { license, version }]) =>
    license !== undefined && isAllowed(license)
      ? []
      : [`${path} ${version}: ${license ?? "it names no licence"}, which supply/Licence.ts does not allow`]
  )
