import { messageOf, type OrderJson, Problem, readOrder, readOrders } from "./Client.ts"
import type { OrderEvent } from "./Connection.ts"
import { byId, make, setAttribute, setText, statusBadge } from "./Dom.ts"
import { amount, fullTime, time } from "./Format.ts"
import { linkToOrder, onView, show, type View } from "./View.ts"

const pageSize = 50
/** Changes are shown at once in the rows that are there; the page is read again this often at most. */
const rereadMillis = 1000
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/

const body = byId("rows", HTMLTableSectionElement)
const heading = byId("orders-heading", HTMLElement)
const note = byId("orders-note", HTMLElement)
const empty = byId("empty", HTMLElement)
const pauseButton = byId("pause", HTMLButtonElement)
const newerButton = byId("newer", HTMLButtonElement)
const olderButton = byId("older", HTMLButtonElement)
const query = byId("query", HTMLInputElement)

const isRefusal = (error: unknown) =>
  error instanceof Problem && error.status !== undefined && error.status >= 400 && error.status < 500

const makeRow = (id: string) => {
  const link = make("a", {}, id)
  const badge = statusBadge()
  const user = make("td", { class: "wide id" })
  const total = make("td", { class: "wide number" })
  const attempts = make("td", { class: "number" })
  const accepted = make("time")
  const element = make(
    "tr",
    {},
    make("th", { scope: "row", class: "id" }, link),
    make("td", {}, badge.element),
    user,
    total,
    attempts,
    make("td", { class: "number" }, accepted)
  )
  // The whole row is a target for the pointer; the keyboard has the link in it.
  element.addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLAnchorElement) && getSelection()?.isCollapsed !== false) location.hash = linkToOrder(id)
  })
  const change = ({ attempts: made, status }: Pick<OrderEvent, "attempts" | "status">) => {
    badge.show(status)
    setText(attempts, String(made))
  }
  return {
    element,
    change,
    /** The link keeps what else is shown. */
    relink: () => setAttribute(link, "href", linkToOrder(id)),
    fill: (order: OrderJson) => {
      change(order)
      setText(user, String(order.user_id))
      setText(total, amount(Number(order.total_amount), order.currency))
      setText(accepted, time(order.accepted_at))
      setAttribute(accepted, "datetime", order.accepted_at)
      setAttribute(accepted, "title", fullTime(order.accepted_at))
    }
  }
}

const titleOf = ({ error_code, q, status }: View) => {
  if (q !== undefined) return `Order or user ${q}`
  if (error_code !== undefined) return `Failed with ${error_code}`
  return status === undefined ? "Newest orders" : `${status} orders`
}

/** One page of orders: what is searched for, or the newest ones. It never holds more than a page. */
export const orderTable = () => {
  const rows = new Map<string, ReturnType<typeof makeRow>>()
  let view: View = {}
  /** Where each page began that was left for an older one. */
  let newerPages: Array<string | undefined> = []
  let cursor: string | undefined
  let next: string | undefined
  /** The order with the id that is searched for, on the first page. */
  let found: string | undefined
  let isPaused = false
  let isLost = false
  let isStale = false
  let reading: symbol | undefined
  let readAt = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const changes = new Map<string, OrderEvent>()
  let isScheduled = false

  /** Rows must not move away from under a pointer or the keyboard's focus. */
  const isHeld = () => body.matches(":hover") || body.querySelector(":focus-visible") !== null

  const showNote = () => {
    const live = isLost ? "Not live" : isHeld() ? "Held while you choose" : "Live"
    setText(note, isPaused ? "Paused" : cursor === undefined ? live : "An older page")
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
    empty.hidden = orders.length > 0
    const nothing = view.q === undefined ? "No orders here yet." : `No order and no user ${view.q}.`
    setText(empty, next === undefined ? nothing : "None among the newest. Older ones are looked through by Older.")
    newerButton.hidden = newerPages.length === 0
    olderButton.hidden = next === undefined
  }

  const readPage = async () => {
    const { error_code, q, status } = view
    const wanted = {
      ...(q !== undefined && { user_id: q }),
      ...(status !== undefined && { status }),
      ...(error_code !== undefined && { error_code }),
      ...(cursor !== undefined && { cursor })
    }
    const [page, one] = await Promise.all([
      readOrders(wanted, pageSize),
      found === undefined || cursor !== undefined
        ? undefined
        : readOrder(found).catch((error: unknown) => {
            if (!isRefusal(error)) throw error
          })
    ])
    return { page, one }
  }

  /** The order that was looked for, if there is one, comes first. */
  const showPage = ({ one, page }: Awaited<ReturnType<typeof readPage>>) => {
    next = page.next_cursor
    if (cursor === undefined && one === undefined) found = undefined
    const others = page.orders.filter(({ order_id }) => String(order_id) !== String(one?.order_id))
    place(one === undefined ? others : [one, ...others])
  }

  const read = async () => {
    if (view.q !== undefined && !idPattern.test(view.q)) return
    clearTimeout(timer)
    timer = undefined
    const own = Symbol()
    reading = own
    isStale = false
    try {
      const answer = await readPage()
      // Meanwhile something else is looked for.
      if (reading !== own) return
      showPage(answer)
      // What was told meanwhile may be newer than what was read; if it is older, the newer is still to be told.
      reading = undefined
      apply()
    } catch (error) {
      if (reading !== own) return
      if (rows.size === 0) {
        empty.hidden = false
        setText(empty, messageOf(error))
      }
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
    empty.hidden = true
    newerButton.hidden = olderButton.hidden = true
  }

  const turnTo = (page: string | undefined) => {
    cursor = page
    showNote()
    read()
    heading.focus()
  }

  onView((wanted) => {
    const isSame = (["q", "status", "error_code"] as const).every((name) => view[name] === wanted[name])
    view = wanted
    for (const row of rows.values()) row.relink()
    if (isSame && readAt > 0) return
    reset()
    newerPages = []
    cursor = next = undefined
    found = wanted.q
    query.value = wanted.q ?? ""
    setText(heading, titleOf(wanted))
    showNote()
    if (wanted.q === undefined || idPattern.test(wanted.q)) return void read()
    reading = undefined
    readAt = performance.now()
    empty.hidden = false
    setText(empty, "Ids are whole numbers, or up to 64 letters, digits and . _ : -")
  })

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
    newerPages.push(cursor)
    turnTo(next)
  })
  newerButton.addEventListener("click", () => turnTo(newerPages.pop()))
  for (const type of ["pointerover", "pointerleave", "focusin", "focusout"]) {
    body.addEventListener(type, () => requestAnimationFrame(showNote))
  }

  return {
    event: (event: OrderEvent) => {
      // An older page stays what it was but for its rows.
      if (cursor === undefined) {
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
    showLost: (now: boolean) => {
      isLost = now
      showNote()
    },
    /** Reads the page again, unless it is held. */
    refresh: () => {
      isStale = true
      later()
    }
  }
}
