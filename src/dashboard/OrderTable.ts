import type { OrderEventJson } from "../api/OrderEvent.ts"
import { statuses } from "../api/OrderEventJson.ts"
import type { OrderJson } from "./ApiJson.ts"
import { messageOf, RequestFailed, readOrder, readOrders } from "./Client.ts"
import { byId, setText } from "./Dom.ts"
import { holdOf } from "./Hold.ts"
import { makeRow } from "./OrderRow.ts"
import { pageTrail } from "./Pages.ts"
import { currentView, isId, notAnId, onView, show, type View } from "./View.ts"
import { hasStatus, noneText, titleOf } from "./ViewTexts.ts"

const pageSize = 50
/** Changes are shown at once in the rows that are there; the page is read again this often at most. */
const rereadMillis = 1000

const body = byId("rows", HTMLTableSectionElement)
const table = byId("orders", HTMLTableElement)
const heading = byId("orders-heading", HTMLElement)
const note = byId("orders-note", HTMLElement)
const message = byId("orders-message", HTMLElement)
const pauseButton = byId("pause", HTMLButtonElement)
const newestButton = byId("first-page", HTMLButtonElement)
const newerButton = byId("newer", HTMLButtonElement)
const olderButton = byId("older", HTMLButtonElement)
const query = byId("query", HTMLInputElement)

const isRefusal = (error: unknown) =>
  error instanceof RequestFailed && error.status !== undefined && error.status >= 400 && error.status < 500

/** Why such a list is not asked for. */
const faultOf = ({ q, status }: View) => {
  if (q !== undefined && !isId(q)) return notAnId
  return hasStatus(status) ? undefined : `There is no status “${status}”. The statuses are ${statuses.join(", ")}.`
}

/** A button that cannot be used keeps its place: another one must not come under the pointer. */
const setUsable = (button: HTMLButtonElement, isUsable: boolean) => button.classList.toggle("unusable", !isUsable)

/** One page of orders: what is searched for, or the newest ones. It never holds more than a page. */
export const orderTable = () => {
  const rows = new Map<string, ReturnType<typeof makeRow>>()
  const pages = pageTrail()
  const isHeld = holdOf(body)
  let view: View = {}
  let next: string | undefined
  /** The order with the id that is searched for, on the first page. */
  let found: string | undefined
  /** What is said of that order if it was removed. */
  let gone: string | undefined
  let isPaused = false
  let liveness = "Live"
  let isStale = false
  let reading: symbol | undefined
  let readAt = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const changes = new Map<string, OrderEventJson>()
  let isScheduled = false

  const showNote = () => {
    const live = isHeld() ? "Held while you choose" : liveness
    setText(note, isPaused ? "Paused" : view.cursor === undefined ? live : "An older page")
  }

  const say = (text: string) => {
    setText(message, text)
    message.hidden = text === ""
    table.hidden = rows.size === 0
  }

  const place = (orders: ReadonlyArray<OrderJson>) => {
    const kept = new Set(orders.map((order) => String(order.order_id)))
    for (const [id, row] of rows) {
      if (kept.has(id)) continue
      row.element.remove()
      rows.delete(id)
    }
    let before = body.firstElementChild
    for (const order of orders) {
      const id = String(order.order_id)
      const row = rows.get(id) ?? makeRow(id)
      rows.set(id, row)
      row.fill(order)
      row.relink()
      if (row.element === before) before = before.nextElementSibling
      else body.insertBefore(row.element, before)
    }
    say(gone ?? (orders.length === 0 ? noneText(view, next !== undefined) : ""))
    setUsable(olderButton, next !== undefined)
  }

  /** The order that is searched for, if it is there and fits what else is asked for. */
  const readFound = async (id: string) => {
    try {
      const order = await readOrder(id)
      const { error_code, status } = view
      const fits =
        (status ?? order.status) === order.status && (error_code ?? order.last_error?.code) === order.last_error?.code
      return fits ? order : undefined
    } catch (error) {
      if (!isRefusal(error)) throw error
      return error instanceof RequestFailed && error.status === 410 ? error.message : undefined
    }
  }

  const readPage = async () => {
    const { cursor, error_code, q, status } = view
    const wanted = {
      ...(q !== undefined && { user_id: q }),
      ...(status !== undefined && { status }),
      ...(error_code !== undefined && { error_code }),
      ...(cursor !== undefined && { cursor })
    }
    const isFirst = found !== undefined && cursor === undefined
    const [page, one] = await Promise.all([readOrders(wanted, pageSize), isFirst ? readFound(found ?? "") : undefined])
    return { page, one }
  }

  /** The order that was looked for, if there is one, comes first. */
  const showPage = ({ one, page }: Awaited<ReturnType<typeof readPage>>) => {
    next = page.next_cursor
    if (typeof one === "string") gone = one
    const first = typeof one === "string" ? undefined : one
    if (view.cursor === undefined && first === undefined) found = undefined
    const others = page.orders.filter(({ order_id }) => String(order_id) !== String(first?.order_id))
    place(first === undefined ? others : [first, ...others])
  }

  const sayWhyNot = (error: unknown) => {
    const isLostPage = isRefusal(error) && view.cursor !== undefined
    say(isLostPage ? `There is no such page. Newest leads to the first one. ${messageOf(error)}` : messageOf(error))
  }

  const read = async () => {
    if (faultOf(view) !== undefined) return
    clearTimeout(timer)
    timer = undefined
    const own = Symbol()
    reading = own
    isStale = false
    try {
      const answer = await readPage()
      // Meanwhile something else is looked for.
      if (reading !== own) return
      // The pointer came while it was read.
      if (rows.size > 0 && isHeld()) isStale = true
      else showPage(answer)
      // An event that came meanwhile may be newer than the answer; if it is older, the newer event is still to come.
      reading = undefined
      apply()
    } catch (error) {
      if (reading !== own) return
      if (rows.size === 0) sayWhyNot(error)
      // What was refused once would be refused again.
      isStale = !isRefusal(error)
    }
    reading = undefined
    readAt = performance.now()
    if (isStale) later()
  }

  /** Reads again, soon, and not while the page is to hold still. */
  const later = () => {
    if (timer !== undefined || reading !== undefined) return
    timer = setTimeout(
      () => {
        timer = undefined
        showNote()
        if (document.hidden || isPaused || isHeld()) return later()
        if (isStale) read()
      },
      Math.max(250, readAt + rereadMillis - performance.now())
    )
  }

  const apply = () => {
    isScheduled = false
    for (const [id, event] of changes) rows.get(id)?.change(event)
    if (reading === undefined) changes.clear()
  }

  const reset = () => {
    changes.clear()
    for (const { element } of rows.values()) element.remove()
    rows.clear()
    next = gone = undefined
    say("")
    setUsable(olderButton, false)
  }

  onView((wanted) => {
    const isSame = (["q", "status", "error_code", "cursor"] as const).every((name) => view[name] === wanted[name])
    view = wanted
    for (const row of rows.values()) row.relink()
    if (isSame && readAt > 0) return
    reset()
    found = wanted.q
    query.value = wanted.q ?? ""
    setText(heading, titleOf(wanted))
    setUsable(newestButton, wanted.cursor !== undefined)
    setUsable(newerButton, wanted.cursor !== undefined && pages.newerOf(wanted) !== undefined)
    showNote()
    const fault = faultOf(wanted)
    if (fault === undefined) return void read()
    reading = undefined
    readAt = performance.now()
    say(fault)
  })

  const turnTo = (cursor: string | undefined) => {
    const { cursor: _, ...first } = currentView()
    show(cursor === undefined ? first : { ...first, cursor })
    heading.focus()
  }

  byId("skip", HTMLElement).addEventListener("click", (event) => {
    // What follows `#` in the address is the view.
    event.preventDefault()
    heading.focus()
  })
  byId("search", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault()
    const q = query.value.trim()
    show(q === "" ? {} : { q })
  })
  query.addEventListener("search", () => {
    if (query.value === "") show({})
  })
  pauseButton.addEventListener("click", () => {
    isPaused = !isPaused
    pauseButton.setAttribute("aria-pressed", String(isPaused))
    showNote()
    if (!isPaused) apply()
  })
  olderButton.addEventListener("click", () => {
    if (next === undefined) return
    pages.remember(view, { ...view, cursor: next })
    turnTo(next)
  })
  newerButton.addEventListener("click", () => turnTo(pages.newerOf(view) || undefined))
  newestButton.addEventListener("click", () => turnTo(undefined))
  for (const type of ["pointerover", "pointerleave", "focusin", "focusout"]) {
    body.addEventListener(type, () => requestAnimationFrame(showNote))
  }

  return {
    event: (event: OrderEventJson) => {
      // An older page stays what it was but for its rows.
      if (view.cursor === undefined) {
        isStale = true
        later()
      }
      const id = String(event.order_id)
      if (id === view.q) found = id
      if (reading === undefined && !rows.has(id)) return
      changes.set(id, event)
      if (isPaused || isScheduled) return
      isScheduled = true
      requestAnimationFrame(apply)
    },
    showLiveness: (text: string) => {
      liveness = text
      showNote()
    },
    /** Reads the page again, unless it is held. */
    refresh: () => {
      isStale = true
      later()
    }
  }
}
