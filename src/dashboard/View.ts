/** What the page shows, kept in the address after `#`, so that it can be shared and Back works. */
export interface View {
  /** An order's or a user's id that is searched for. */
  readonly q?: string
  readonly status?: string
  readonly error_code?: string
  /** The order whose story is open. */
  readonly order?: string
}

const names = ["q", "status", "error_code", "order"] as const

export const currentView = (): View => {
  const parameters = new URLSearchParams(location.hash.slice(1))
  return Object.fromEntries(names.flatMap((name) => (parameters.get(name) ? [[name, parameters.get(name)]] : [])))
}

/** A bare `#` would scroll to the top. */
export const hashOf = (view: View) => `#${new URLSearchParams({ ...view }).toString() || "newest"}`

export const show = (view: View) => {
  if (location.hash.slice(1) !== hashOf(view).slice(1)) location.hash = hashOf(view)
}

/** Opens an order over whatever else is shown. */
export const linkToOrder = (order: string) => hashOf({ ...currentView(), order })

export const closeOrder = () => {
  const { order: _, ...rest } = currentView()
  show(rest)
}

export const onView = (listener: (view: View) => void) => {
  addEventListener("hashchange", () => listener(currentView()))
  listener(currentView())
}
