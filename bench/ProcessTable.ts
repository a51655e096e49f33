import * as Fs from "node:fs"

const millisPerTick = 10

const statOf = (pid: number) => {
  const text = Fs.readFileSync(`/proc/${pid}/stat`, "latin1")
  // The name before it may hold anything, spaces and brackets too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
  const number = (field: number) => Number(fields[field - 3])
  return { parent: number(4), own: number(14) + number(15), waitedFor: number(16) + number(17) }
}

/** CPU time used so far, in milliseconds of one core; NaN where there is no /proc. */
export const cpuMillis = (pid: number) => {
  try {
    return statOf(pid).own * millisPerTick
  } catch {
    return Number.NaN
  }
}

export const parentOf = (pid: number) => statOf(pid).parent

/** The same for a process with all its children, those that have ended included. */
export const familyCpuMillis = (pid: number) => {
  const { own, waitedFor } = statOf(pid)
  let ticks = own + waitedFor
  for (const name of Fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = statOf(Number(name))
      if (stat.parent === pid) ticks += stat.own
    } catch {
      // It ended meanwhile.
    }
  }
  return ticks * millisPerTick
}

/** The most memory the process has had resident, in megabytes. */
export const peakMegabytes = (pid: number) => {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "latin1"))
    return match ? (Number(match[1]) * 1024) / 1e6 : Number.NaN
  } catch {
    return Number.NaN
  }
}
