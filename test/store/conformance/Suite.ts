import { describe } from "@effect/vitest"
import { cancels } from "./Cancel.ts"
import { claims } from "./Claim.ts"
import { failureGroups } from "./Failures.ts"
import { forgets } from "./Forget.ts"
import { histories } from "./History.ts"
import { inserts } from "./Insert.ts"
import { line } from "./Line.ts"
import { lists } from "./List.ts"
import { probes } from "./Probe.ts"
import { prunes } from "./Prune.ts"
import { records } from "./Record.ts"
import { recovers } from "./Recover.ts"
import { releases } from "./Release.ts"
import { reopens } from "./Reopen.ts"
import type { RepoLayer } from "./Test.ts"

const writing = [inserts, claims, records, line, releases, recovers, cancels, reopens, prunes, forgets, histories]
const reading = [lists, failureGroups, probes]

const suiteOf =
  (subjects: ReadonlyArray<(layer: RepoLayer) => void>) =>
  (name: string, layer: RepoLayer, isThere = true) =>
    describe.skipIf(!isThere)(name, () => {
      for (const subject of subjects) subject(layer)
    })

/** What every repository does, whatever it keeps its orders in. */
export const suite = suiteOf([...writing, ...reading])

/** The part of it that is about how orders change. */
export const changeSuite = suiteOf(writing)
