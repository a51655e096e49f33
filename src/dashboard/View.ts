/** What the page shows, kept in the address after `#`, so that it can be shared and Back works. */
export interface View {
  /** An order's or a user's id that is searched for. */
  readonly q?: string
  readonly status?: string
  readonly error_code?: string
  /** Where the page of the list begins; the first one has none. */
  readonly cursor?: string
  /** The order whose story is open. */
  readonly order?: string
}

const names = ["q", "status", "error_code", "cursor", "order"] as const

export const currentView = (): View => {
  const parameters = new URLSearchParams(location.hash.slice(1))
  return Object.fromEntries(names.flatMap((name) => (parameters.get(name) ? [[name, parameters.get(name)]] : [])))
}

/** A bare `#` would scroll to the top. */
export const hashOf = (view: View) => `#${new URLSearchParams({ ...view }).toString() || "newest"}`

/** The address of the list alone, whichever order is open over it. */
export const listHashOf = ({ order: _, ...list }: View) => hashOf(list)

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

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/

export const isId = (text: string) => idPattern.test(text)

export const notAnId = "Ids are whole numbers, or up to 64 letters, digits and . _ : -"
