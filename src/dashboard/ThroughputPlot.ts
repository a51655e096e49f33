/*! This file bundles uPlot (https://github.com/leeoniya/uPlot), Copyright (c) Leon Sorokin, MIT licence. */
import uPlot from "uplot"

interface Plotted {
  readonly box: HTMLElement
  /** The seconds from and to which it is drawn. */
  readonly range: () => [number, number]
  /** A time as it stands at the axis. */
  readonly label: (at: number) => string
  /** The pointer is at the point with that index, or at none. */
  readonly onPoint: (index: number | undefined) => void
}

/** The colour that the style sheet gives to a class, in the theme of the moment. */
const colourOf = (box: HTMLElement, name: string) => {
  const probe = document.createElement("span")
  probe.className = `colour-${name}`
  box.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

const timeSplits = ([from, to]: readonly [number, number]) => {
  const step = to - from <= 60 ? 15 : to - from <= 180 ? 30 : 60
  return Array.from({ length: Math.round((to - from) / step) + 1 }, (_, index) => from + index * step)
}

const axesOf = ({ box, label, range }: Plotted): Array<uPlot.Axis> => {
  const axis = {
    stroke: colourOf(box, "muted"),
    font: `11px ${getComputedStyle(box).fontFamily}`,
    grid: { stroke: colourOf(box, "line"), width: 1 },
    ticks: { show: false }
  }
  return [
    {
      ...axis,
      grid: { show: false },
      space: 70,
      size: 28,
      splits: () => timeSplits(range()),
      values: (_plot, splits) => splits.map(label)
    },
    {
      ...axis,
      size: 44,
      space: 34,
      incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5]
    }
  ]
}

const seriesOf = (box: HTMLElement): Array<uPlot.Series> => {
  const accent = colourOf(box, "accent")
  const points = { show: false }
  return [
    {},
    { label: "Accepted", stroke: colourOf(box, "ink"), width: 1.5, dash: [4, 3], points },
    {
      label: "Completed",
      stroke: accent,
      fill: accent.replace("rgb(", "rgba(").replace(")", ", 0.13)"),
      width: 2,
      points
    },
    { label: "Failed", stroke: colourOf(box, "bad"), width: 2, dash: [2, 2], points }
  ]
}

/** Draws the columns into the box: three lines over the time, in the colours of the theme. */
export const plotOf = (columns: uPlot.AlignedData, plotted: Plotted) => {
  const { box, onPoint, range } = plotted
  return new uPlot(
    {
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      padding: [8, 14, 0, 0],
      scales: {
        x: { time: true, range: () => range() },
        y: { range: (_plot, _min, max) => [0, Math.max(5, max * 1.08)] }
      },
      axes: axesOf(plotted),
      series: seriesOf(box),
      hooks: { setCursor: [({ cursor: { idx } }) => onPoint(idx ?? undefined)] }
    },
    columns,
    box
  )
}
