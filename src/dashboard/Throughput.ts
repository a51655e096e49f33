/*! This file bundles uPlot (https://github.com/leeoniya/uPlot), Copyright (c) Leon Sorokin, MIT licence. */
import uPlot from "uplot"
import type { MetricsJson } from "./Client.ts"
import { byId, setText } from "./Dom.ts"
import { rate } from "./Format.ts"

/** The window grows from one to the other. */
const [shortestWindow, longestWindow] = [60, 300]
/** Each point is the mean of so much time: readings and commits do not keep the same beat. */
const meanSeconds = 3
/** Longer than that between two readings was not watched, and is left open in the line. */
const gapSeconds = 5
const storageKey = "orders-throughput"

interface Reading {
  readonly at: number
  readonly total: number
  readonly completed: number
}

type Column = Array<number | null>

const box = byId("chart", HTMLElement)
const acceptedRate = byId("accepted-rate", HTMLElement)
const rateNote = byId("rate-note", HTMLElement)
const completedRate = byId("completed-rate", HTMLElement)

const isColumns = (value: unknown): value is [Array<number>, Column, Column] =>
  Array.isArray(value) && value.length === 3 && value.every(Array.isArray)

/** What this tab saw before it was loaded again. */
const restored = (): [Array<number>, Column, Column] => {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(storageKey) ?? "null")
    if (isColumns(kept)) return kept
  } catch {
    // Storage can be forbidden, or hold something else.
  }
  return [[], [], []]
}

/** The colour that the style sheet gives to a class, in the theme of the moment. */
const colourOf = (name: string) => {
  const probe = document.createElement("span")
  probe.className = `colour-${name}`
  box.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

/** Draws the orders accepted and completed per second, from the differences of the all-time counts. */
export const throughputChart = () => {
  const [times, accepted, completed] = restored()
  /** The last few readings, the newest last. */
  let readings: ReadonlyArray<Reading> = []
  let plot: uPlot | undefined

  const trim = (now: number) => {
    const from = times.findIndex((time) => time >= now - longestWindow - 2)
    const drop = from < 0 ? times.length : from
    for (const column of [times, accepted, completed]) column.splice(0, drop)
  }

  const add = (at: number, perSecond: { accepted: number | null; completed: number | null }) => {
    times.push(at)
    accepted.push(perSecond.accepted)
    completed.push(perSecond.completed)
  }

  const shownWindow = (): [number, number] => {
    const to = times.at(-1) ?? Date.now() / 1000
    const seconds = Math.min(longestWindow, Math.max(shortestWindow, to - (times[0] ?? to)))
    return [to - Math.ceil(seconds / 60) * 60, to]
  }

  const ago = (at: number) => {
    const seconds = Math.round(shownWindow()[1] - at)
    if (seconds === 0) return "now"
    return seconds % 60 === 0 ? `−${seconds / 60} min` : `−${seconds} s`
  }

  const draw = () => {
    plot?.destroy()
    const [accent, ink, muted, line] = ["accent", "ink", "muted", "line"].map(colourOf)
    const axis = {
      stroke: muted ?? "",
      font: `11px ${getComputedStyle(box).fontFamily}`,
      grid: { stroke: line ?? "", width: 1 },
      ticks: { show: false }
    }
    plot = new uPlot(
      {
        width: box.clientWidth,
        height: box.clientHeight,
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
        padding: [8, 14, 0, 0],
        scales: {
          x: { time: true, range: () => shownWindow() },
          y: { range: (_plot, _min, max) => [0, Math.max(5, max * 1.08)] }
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            space: 70,
            size: 28,
            splits: () => {
              const [from, to] = shownWindow()
              const step = to - from <= 60 ? 15 : to - from <= 180 ? 30 : 60
              return Array.from({ length: Math.round((to - from) / step) + 1 }, (_, index) => from + index * step)
            },
            values: (_plot, splits) => splits.map(ago)
          },
          {
            ...axis,
            size: 44,
            space: 34,
            incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5]
          }
        ],
        series: [
          {},
          {
            label: "Accepted",
            stroke: ink ?? "",
            width: 1.5,
            dash: [4, 3],
            points: { show: false }
          },
          {
            label: "Completed",
            stroke: accent ?? "",
            fill: (accent ?? "").replace("rgb(", "rgba(").replace(")", ", 0.13)"),
            width: 2,
            points: { show: false }
          }
        ],
        hooks: { setCursor: [showUnderCursor] }
      },
      [times, accepted, completed],
      box
    )
  }

  let latest: MetricsJson | undefined
  let isPointing = false
  const showRates = () => {
    if (isPointing || latest === undefined) return
    setText(acceptedRate, rate(latest.accepted_per_second))
    setText(completedRate, rate(latest.completed_per_second))
    setText(rateNote, "per second, mean of the last minute")
  }

  const showUnderCursor = ({ cursor: { idx } }: uPlot) => {
    isPointing = idx !== null && idx !== undefined
    if (!isPointing || idx === null || idx === undefined) return showRates()
    setText(acceptedRate, rate(accepted[idx] ?? 0))
    setText(completedRate, rate(completed[idx] ?? 0))
    setText(rateNote, `per second, at ${ago(times[idx] ?? 0)}`)
  }

  const redraw = () => {
    if (box.clientWidth > 0) draw()
  }
  new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box)
  redraw()
  addEventListener("pagehide", () => {
    try {
      sessionStorage.setItem(storageKey, JSON.stringify([times, accepted, completed]))
    } catch {
      // Then a reload begins anew.
    }
  })

  return {
    /** After a change of theme. */
    redraw,
    add: (metrics: MetricsJson) => {
      latest = metrics
      const at = Date.now() / 1000
      const reading = { at, total: metrics.total_orders, completed: metrics.orders_completed }
      const last = readings.at(-1)
      const goesOn =
        last !== undefined &&
        at > last.at &&
        at - last.at <= gapSeconds &&
        reading.total >= last.total &&
        reading.completed >= last.completed
      readings = [...(goesOn ? readings.filter((one) => one.at > at - meanSeconds - 0.5) : []), reading]
      const first = goesOn ? (readings.length > 1 ? readings[0] : last) : undefined
      const newest = times.at(-1) ?? 0
      if (first !== undefined && newest < at) {
        const seconds = at - first.at
        add(at, {
          accepted: (reading.total - first.total) / seconds,
          completed: (reading.completed - first.completed) / seconds
        })
      } else if (newest > 0 && newest < at) add((newest + at) / 2, { accepted: null, completed: null })
      trim(at)
      showRates()
      plot?.setData([times, accepted, completed])
    }
  }
}
