const storageKey = `orders-key ${location.pathname}`

/** The key that this tab was given: kept over a reload, seen by no other tab, and gone with it. */
const kept = () => {
  try {
    return sessionStorage.getItem(storageKey) ?? undefined
  } catch {
    // Storage can be forbidden.
    return undefined
  }
}

let key = kept()

/** None is sent while there is none. */
export const currentKey = () => key

export const keep = (given: string | undefined) => {
  key = given
  try {
    if (given === undefined) sessionStorage.removeItem(storageKey)
    else sessionStorage.setItem(storageKey, given)
  } catch {
    // Then it lasts as long as the page.
  }
}
