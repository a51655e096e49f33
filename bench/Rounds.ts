/** What was measured, by name. `perSecond`, `p50`, `p99` (ms), `cpu` and `storeCpu` (µs per order), `memory` (MB) have columns. */
export type Figures = Readonly<Record<string, number>>

export interface Entrant {
  readonly name: string
  /** What a positive answer promises when the power fails. */
  readonly onPowerLoss: string
  readonly isOurs?: boolean
  readonly measure: () => Promise<Figures>
}

export interface Line {
  readonly row: string
  readonly contestant: string
  readonly onPowerLoss: string
  readonly isOurs: boolean
  readonly figures: Figures
  readonly rounds: ReadonlyArray<Figures>
  /** Why there are no figures. */
  readonly skipped?: string
}

/** What the contestant needs is not on this machine. */
export class NotHere extends Error {}

export const percentile = (values: ReadonlyArray<number>, share: number) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

const median = (values: ReadonlyArray<number>) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

const medians = (rounds: ReadonlyArray<Figures>): Figures => {
  const names = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(rounds.map((figures) => figures[name] ?? Number.NaN))]))
}

export const say = (text: string) => process.stderr.write(`${text}\n`)

const short = (figures: Figures) =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(", ")

/** Every entrant once, then all of them again, so that what changes on the machine meanwhile meets them all. */
export const interleave = async (
  row: string,
  rounds: number,
  entrants: ReadonlyArray<Entrant>
): Promise<ReadonlyArray<Line>> => {
  const measured = new Map<Entrant, Array<Figures>>(entrants.map((entrant) => [entrant, []]))
  const skipped = new Map<Entrant, string>()
  for (let round = 1; round <= rounds; round++) {
    for (const [entrant, figures] of measured) {
      if (skipped.has(entrant)) continue
      try {
        const measured = await entrant.measure()
        // What could not be read here, such as the CPU time of a store that there is not, is left out.
        const now = Object.fromEntries(Object.entries(measured).filter(([, value]) => !Number.isNaN(value)))
        figures.push(now)
        say(`${row}, round ${round}, ${entrant.name}: ${short(now)}`)
      } catch (error) {
        if (!(error instanceof NotHere)) throw error
        skipped.set(entrant, error.message)
        say(`${row}, ${entrant.name}: skipped: ${error.message}`)
      }
    }
  }
  return entrants.map((entrant) => {
    const reason = skipped.get(entrant)
    const rounds = measured.get(entrant) ?? []
    return {
      row,
      contestant: entrant.name,
      onPowerLoss: entrant.onPowerLoss,
      isOurs: entrant.isOurs === true,
      figures: medians(rounds),
      rounds,
      ...(reason === undefined ? {} : { skipped: reason })
    }
  })
}
