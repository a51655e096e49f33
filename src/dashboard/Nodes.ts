import { may } from "./Access.ts"
import type { NodeJson } from "./ApiJson.ts"
import { readNodes } from "./Client.ts"
import { byId, make, setAttribute, setText } from "./Dom.ts"
import { count, fullTime } from "./Format.ts"

/** How often the nodes are read, and one that is alone, which seldom gets company. */
const [rereadMillis, aloneMillis] = [3000, 30_000]

const table = byId("nodes", HTMLTableElement)
const body = byId("node-rows", HTMLElement)

/** In a word, for the column is narrow; the rest is its title. */
const stateOf = ({ alive, breaker }: NodeJson) => {
  if (!alive) return { text: "Gone", more: "silent", state: "bad" }
  return breaker.state === "closed"
    ? { text: "Alive", more: "breaker closed", state: "good" }
    : { text: "Failing", more: "breaker open", state: "bad" }
}

const makeRow = () => {
  const name = make("th", { scope: "row" })
  const busy = make("td")
  const state = make("span", { class: "state" })
  return {
    element: make("tr", {}, name, busy, make("td", {}, state)),
    fill: (node: NodeJson) => {
      setText(name, node.name)
      setAttribute(
        name,
        "title",
        `${node.name}: role ${node.role}, version ${node.version}, since ${fullTime(node.since)}`
      )
      setText(busy, `${count(node.workers_busy)} of ${count(node.workers)}`)
      const { more, state: kind, text } = stateOf(node)
      setText(state, text)
      setAttribute(state, "data-state", kind)
      setAttribute(state, "title", `${text}: ${more}, last heard ${fullTime(node.heard_at)}`)
    }
  }
}

/** The nodes that share the orders, where there is more than one. */
export const nodes = () => {
  const rows = new Map<string, ReturnType<typeof makeRow>>()
  let notBefore = 0
  let isReading = false

  const show = (found: ReadonlyArray<NodeJson>) => {
    table.hidden = found.length < 2
    for (const [name, { element }] of rows) {
      if (found.some((node) => node.name === name)) continue
      element.remove()
      rows.delete(name)
    }
    for (const [index, node] of found.entries()) {
      const row = rows.get(node.name) ?? makeRow()
      rows.set(node.name, row)
      row.fill(node)
      const there = body.children[index]
      if (there !== row.element) body.insertBefore(row.element, there ?? null)
    }
  }

  return {
    /** Reads them, if that was not done lately. */
    read: async () => {
      const startedAt = performance.now()
      if (isReading || startedAt < notBefore || !may("metrics")) return
      isReading = true
      try {
        const found = await readNodes()
        show(found)
        notBefore = startedAt + (found.length < 2 ? aloneMillis : rereadMillis)
      } catch {
        // The metrics say that the service does not answer; they are read again with them.
        notBefore = startedAt + rereadMillis
      }
      isReading = false
    }
  }
}
