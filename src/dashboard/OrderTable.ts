import type { OrderEventJson } from "../api/OrderEvent.ts"
import { byId, setText } from "./Dom.ts"
import { listMotion } from "./ListMotion.ts"
import { faultOf, isRefusal, type OrderPage, readPage, refusalText } from "./OrderPage.ts"
import { orderRows } from "./OrderRows.ts"
import { pageButtons } from "./PageButtons.ts"
import { rereader } from "./Rereader.ts"
import { searchForm } from "./SearchForm.ts"
import type { Text } from "./Text.ts"
import { listHashOf, onView, type View } from "./View.ts"
import { noneText, titleOf } from "./ViewTexts.ts"

const body = byId("rows", HTMLTableSectionElement)
const table = byId("orders", HTMLTableElement)
const heading = byId("orders-heading", HTMLElement)
const message = byId("orders-message", HTMLElement)

byId("skip", HTMLElement).addEventListener("click", (event) => {
  // What follows `#` in the address is the view.
  event.preventDefault()
  heading.focus()
})

/** What is said in place of the rows, or above them. */
const say = (text: Text) => {
  setText(message, text)
  message.hidden = text === ""
  table.hidden = body.rows.length === 0
}

/** One page of orders: what is searched for, or the newest ones. It never holds more than a page. */
export const orderTable = () => {
  let view: View = {}
  /** The address of the list that is shown; nothing before the first. */
  let listHash: string | undefined
  /** The id that is searched for, as long as there may be an order with it. */
  let match: string | undefined
  let removed: string | undefined
  const search = searchForm()
  const buttons = pageButtons(() => heading.focus())
  const rows = orderRows(body, () => reader.isReading())
  const motion = listMotion(rows.showChanges)

  const showPage = (page: OrderPage) => {
    removed = page.removed ?? removed
    if (view.cursor === undefined && !page.hasMatch) match = undefined
    rows.place(page.orders)
    say(removed ?? (page.orders.length === 0 ? noneText(view, page.next !== undefined) : ""))
    buttons.showNext(page.next)
  }

  const reader = rereader({
    read: () => readPage(view, match),
    show: (page) => {
      // The pointer may have come while the page was read.
      const mayShow = rows.isEmpty() || !motion.isHeld()
      if (mayShow) showPage(page)
      rows.showChanges()
      return mayShow
    },
    fail: (error) => {
      if (rows.isEmpty()) say(refusalText(error, view))
      // What was refused once would be refused again.
      return !isRefusal(error)
    },
    isHeld: () => {
      motion.showNote()
      return document.hidden || motion.isPaused() || motion.isHeld()
    }
  })

  const refresh = () => {
    if (faultOf(view) === undefined) reader.refresh()
  }

  const showList = () => {
    rows.clear()
    removed = undefined
    match = view.q
    say(faultOf(view) ?? "")
    search.show(view.q)
    setText(heading, titleOf(view))
    buttons.showView(view)
    motion.showView(view)
    if (faultOf(view) === undefined) reader.start()
    else reader.stop()
  }

  onView((wanted) => {
    view = wanted
    rows.relink()
    if (listHashOf(view) === listHash) return
    listHash = listHashOf(view)
    showList()
  })

  return {
    event: (event: OrderEventJson) => {
      // An older page stays what it was but for its rows.
      if (view.cursor === undefined) refresh()
      const id = String(event.order_id)
      if (id === view.q) match = id
      rows.change(event, motion.isPaused())
    },
    showLiveness: motion.showLiveness,
    /** Reads the page again, unless it is held. */
    refresh
  }
}
