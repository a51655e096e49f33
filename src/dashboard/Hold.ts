/** Where the pointer is, also over a panel that lies above what it pointed at; a finger is nowhere when it is lifted. */
let pointer: { readonly x: number; readonly y: number } | undefined
addEventListener("pointermove", ({ clientX: x, clientY: y, pointerType }) => {
  pointer = pointerType === "touch" ? undefined : { x, y }
})
document.documentElement.addEventListener("pointerleave", () => {
  pointer = undefined
})

const isOver = (box: HTMLElement) => {
  if (pointer === undefined) return box.matches(":hover")
  const { bottom, left, right, top } = box.getBoundingClientRect()
  return pointer.x >= left && pointer.x < right && pointer.y >= top && pointer.y < bottom
}

/**
 * Whether a list must stay as it is: what is in it must not move away from under a pointer, a finger or the keyboard's
 * focus.
 */
export const holdOf = (box: HTMLElement) => {
  let isPressed = false
  box.addEventListener("pointerdown", () => {
    isPressed = true
  })
  for (const type of ["pointerup", "pointercancel"]) {
    // The click comes after it.
    addEventListener(type, () => setTimeout(() => (isPressed = false)))
  }
  return () => isPressed || isOver(box) || box.querySelector(":focus-visible") !== null
}
