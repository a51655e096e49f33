import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    scale: { type: "string", default: "1" },
    profile: { type: "boolean", default: false },
    "write-readme": { type: "boolean", default: false }
  }
})

/** Single POST, bulk and engine alone, in fewer and shorter rounds. */
export const isShort = values.short
export const only: ReadonlyArray<string> = values.only
/** Ours and the echo, which end by themselves when asked to, leave V8 CPU profiles in `results`. It costs speed. */
export const profiles = values.profile

/** Every row is measured. */
export const isFull = !isShort && only.length === 0
export const writesReadme = values["write-readme"]
if (writesReadme && (!isFull || profiles || values.scale !== "1")) {
  throw new Error("--write-readme keeps a full run, so it takes no --short, --only, --scale or --profile")
}

/** A fraction of every size and time, to try the suite itself: its figures mean nothing then. */
export const scale = Number(values.scale)
if (!(scale > 0 && scale <= 1)) throw new Error("--scale takes a number above 0 and up to 1")

export const rounds = scale < 1 ? 1 : isShort ? 2 : 3
export const warmUpSeconds = Math.max(1, Math.round((isShort ? 3 : 5) * scale))
export const countedSeconds = Math.max(1, Math.round((isShort ? 4 : 8) * scale))
export const sized = (orders: number) => Math.max(1000, Math.round(orders * scale))
