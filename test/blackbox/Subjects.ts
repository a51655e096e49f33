import type { Subject } from "./Subject.ts"
import { cancel, completed, failures, waiting } from "./subjects/Actions.ts"
import { backlog, bulk } from "./subjects/Bulk.ts"
import { changes, events } from "./subjects/Changes.ts"
import { failedLists, largePages, list } from "./subjects/List.ts"
import { problems } from "./subjects/Problems.ts"
import { repeats } from "./subjects/Repeats.ts"
import { gone, metrics, metricsOfCompleted, pages, unfinished } from "./subjects/Service.ts"
import { outcomes } from "./subjects/Shop.ts"
import { submit } from "./subjects/Submit.ts"

/** All that a service is asked, whatever it keeps its orders in and however many nodes it has. */
export const subjects: ReadonlyArray<Subject> = [
  submit,
  repeats,
  bulk,
  backlog,
  list,
  largePages,
  failedLists,
  cancel,
  completed,
  waiting,
  failures,
  outcomes,
  changes,
  events,
  metrics,
  metricsOfCompleted,
  unfinished,
  gone,
  pages,
  problems
]
