import { listHashOf, type View } from "./View.ts"

const storageKey = "orders-pages"
const mostKept = 500

const restored = (): Map<string, string> => {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(storageKey) ?? "[]")
    const isPair = (pair: unknown): pair is [string, string] =>
      Array.isArray(pair) && pair.length === 2 && pair.every((one) => typeof one === "string")
    if (Array.isArray(kept)) return new Map(kept.filter(isPair))
  } catch {
    // Storage can be forbidden, or hold something else.
  }
  return new Map()
}

/**
 * Which page was left for which older one, as long as the tab is open: the API pages towards older orders alone. Of a
 * page that was opened by its address the newer one is not known.
 */
export const pageTrail = () => {
  const newerCursors = restored()
  return {
    /** An empty one is the first page's. */
    newerOf: (view: View) => newerCursors.get(listHashOf(view)),
    remember: (newer: View, older: View) => {
      newerCursors.delete(listHashOf(older))
      newerCursors.set(listHashOf(older), newer.cursor ?? "")
      const [oldest] = newerCursors.keys()
      if (newerCursors.size > mostKept && oldest !== undefined) newerCursors.delete(oldest)
      try {
        sessionStorage.setItem(storageKey, JSON.stringify([...newerCursors]))
      } catch {
        // Then it lasts as long as the page.
      }
    }
  }
}
