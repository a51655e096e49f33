export interface Check {
  readonly name: string
  readonly state: "ok" | "warning" | "error"
  readonly found: string
  /** What to do about it. */
  readonly advice: string | null
}

export const ok = (name: string, found: string): Check => ({ name, state: "ok", found, advice: null })
export const warning = (name: string, found: string, advice: string): Check => ({
  name,
  state: "warning",
  found,
  advice
})
export const error = (name: string, found: string, advice: string): Check => ({ name, state: "error", found, advice })

export const restore =
  "Stop the service, and go back to a backup by `orders restore`, which keeps the damaged files; what can be read of " +
  "them comes out by: sqlite3 FILE .recover"
export const notByUs =
  "Something other than this service changed the database. Stop the service, and go back to a backup by `orders restore`."
