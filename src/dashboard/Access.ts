import type { CallerJson } from "./ApiJson.ts"
import { currentKey, keep } from "./KeptKey.ts"
import type { Scope } from "./Scopes.ts"

/** Whom the service takes the page for; nothing while it is not known. */
let caller: CallerJson | undefined
/** Why the service asks for a key, or for another one, while it does. */
let asked: string | undefined
const listeners = new Set<() => void>()
let waiting: Array<() => void> = []

const changed = () => {
  const resumed = waiting
  waiting = []
  for (const listener of listeners) listener()
  for (const resume of resumed) resume()
}

export const knownCaller = () => caller

/** Until a key is given nothing is asked that needs one. */
export const whyAsked = () => asked

/** Whether the page may do what the scope is for. Before that is known it neither may nor lacks it. */
export const may = (scope: Scope) => caller?.scopes.includes(scope) === true
export const lacks = (scope: Scope) => caller !== undefined && !may(scope)

/** Runs now and whenever the page may do more or less than before. */
export const onAccess = (listener: () => void) => {
  listeners.add(listener)
  listener()
}

/** Waits until the page may do what the scope is for, if it takes another key. */
export const permitted = async (scope: Scope) => {
  while (!may(scope)) await new Promise<void>((resume) => waiting.push(resume))
}

/** The service said who sends that key; a service without keys asks for none, and is sent none. */
export const accept = (key: string | undefined, answer: CallerJson) => {
  keep(answer.name === null ? undefined : key)
  caller = answer
  asked = undefined
  changed()
}

/** The service does not take that key; what was asked with a former one says nothing of the present. */
export const refuse = (key: string | undefined, why: string) => {
  if (key !== currentKey() || asked !== undefined) return
  keep(undefined)
  caller = undefined
  asked = why
  changed()
}

/** The key was good for it before, and is not any more. */
export const lose = (scope: Scope) => {
  if (caller === undefined || !may(scope)) return
  caller = { ...caller, scopes: caller.scopes.filter((other) => other !== scope) }
  changed()
}
