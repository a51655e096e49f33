/*! This file bundles uPlot (https://github.com/leeoniya/uPlot), Copyright (c) Leon Sorokin, MIT licence. */
import uPlot from "uplot"
import type { MetricsJson } from "./ApiJson.ts"
import { byId, setText } from "./Dom.ts"
import { rate } from "./Format.ts"

/** The window grows from one to the other. */
const [shortestWindow, longestWindow] = [60, 300]
/** Each point is the mean of so much time: readings and commits do not keep the same beat. */
const meanSeconds = 3
/** Longer than that between two readings was not watched, and is left open in the line. */
const gapSeconds = 5
const storageKey = `orders-throughput ${location.pathname}`

interface Reading {
  readonly at: number
  readonly total: number
  readonly completed: number
  readonly failed: number
}

type Rates = Readonly<Record<"accepted" | "completed" | "failed", number | null>>
type Column = Array<number | null>

const box = byId("chart", HTMLElement)
const acceptedRate = byId("accepted-rate", HTMLElement)
const rateNote = byId("rate-note", HTMLElement)
const completedRate = byId("completed-rate", HTMLElement)
const failedRate = byId("failed-rate", HTMLElement)

type Columns = [Array<number>, Column, Column, Column]
const isColumn = (value: unknown) =>
  Array.isArray(value) && value.every((one) => one === null || typeof one === "number")
const isColumns = (value: unknown): value is Columns =>
  Array.isArray(value) &&
  value.length === 4 &&
  value.every((column) => isColumn(column) && column.length === value[0].length)

const isReading = (value: unknown): value is Reading =>
  typeof value === "object" &&
  value !== null &&
  ["at", "total", "completed", "failed"].every((name) => typeof Reflect.get(value, name) === "number")

/** What this tab saw before it was loaded again. */
const restored = (): { readonly columns: Columns; readonly readings: ReadonlyArray<Reading> } => {
  try {
    const [columns, ...readings]: ReadonlyArray<unknown> = JSON.parse(sessionStorage.getItem(storageKey) ?? "[]")
    if (isColumns(columns)) return { columns, readings: readings.filter(isReading) }
  } catch {
    // Storage can be forbidden, or hold something else.
  }
  return { columns: [[], [], [], []], readings: [] }
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
  const kept = restored()
  const { columns } = kept
  const [times, accepted, completed, failed] = columns
  /** The last few readings, the newest last. */
  let { readings } = kept
  let plot: uPlot | undefined

  const trim = (now: number) => {
    const from = times.findIndex((time) => time >= now - longestWindow - 2)
    const drop = from < 0 ? times.length : from
    for (const column of columns) column.splice(0, drop)
  }

  const add = (at: number, perSecond: Rates) => {
    times.push(at)
    accepted.push(perSecond.accepted)
    completed.push(perSecond.completed)
    failed.push(perSecond.failed)
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
    const [accent, ink, bad, muted, line] = ["accent", "ink", "bad", "muted", "line"].map(colourOf)
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
          },
          { label: "Failed", stroke: bad ?? "", width: 2, dash: [2, 2], points: { show: false } }
        ],
        hooks: { setCursor: [showUnderCursor] }
      },
      columns,
      box
    )
  }

  let latest: MetricsJson | undefined
  let isPointing = false
  const showRates = () => {
    if (isPointing || latest === undefined) return
    setText(acceptedRate, rate(latest.accepted_per_second))
    setText(completedRate, rate(latest.completed_per_second))
    setText(failedRate, rate(latest.failed_per_second))
    setText(rateNote, "/s, last minute")
  }

  const showUnderCursor = ({ cursor: { idx } }: uPlot) => {
    isPointing = idx !== null && idx !== undefined
    if (!isPointing || idx === null || idx === undefined) return showRates()
    setText(acceptedRate, rate(accepted[idx] ?? 0))
    setText(completedRate, rate(completed[idx] ?? 0))
    setText(failedRate, rate(failed[idx] ?? 0))
    setText(rateNote, `/s, at ${ago(times[idx] ?? 0)}`)
  }

  const redraw = () => {
    if (box.clientWidth > 0) draw()
  }
  new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box)
  redraw()
  addEventListener("pagehide", () => {
    try {
      sessionStorage.setItem(storageKey, JSON.stringify([columns, ...readings]))
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
      const { orders_completed: completed, orders_failed: failed, total_orders: total } = metrics
      const reading = { at, total, completed, failed }
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
          completed: (reading.completed - first.completed) / seconds,
          // Retried ones are no longer Failed.
          failed: Math.max(0, reading.failed - first.failed) / seconds
        })
      } else if (newest > 0 && newest < at) add((newest + at) / 2, { accepted: null, completed: null, failed: null })
      trim(at)
      showRates()
      plot?.setData(columns)
    }
  }
}
