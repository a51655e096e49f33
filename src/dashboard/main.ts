import { alarm } from "./Alarm.ts"
import { connect } from "./Connection.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import { failures } from "./Failures.ts"
import { keyForm } from "./KeyForm.ts"
import { keyMenu } from "./KeyMenu.ts"
import { nodes } from "./Nodes.ts"
import { notify } from "./Notices.ts"
import { orderPanel } from "./OrderPanel.ts"
import { orderTable } from "./OrderTable.ts"
import { overview } from "./Overview.ts"
import { sampleOrders } from "./SampleOrders.ts"
import { themeToggle } from "./ThemeToggle.ts"
import { throughputChart } from "./Throughput.ts"

const alarms = alarm()
const figures = overview()
const chart = throughputChart()
const table = orderTable()
const panel = orderPanel()
const failed = failures()
const fleet = nodes()
const samples = sampleOrders(table.refresh)
themeToggle(chart.redraw)
keyMenu()
keyForm()

let wasLost = false
const showState = (state: ConnectionState) => {
  alarms.showState(state)
  table.showLiveness({ live: "Live", polling: "Read each second", lost: "Not live", asking: "Not live" }[state.kind])
  if (state.kind === "lost" || state.kind === "asking") figures.showLost()
  if (state.kind === "lost") {
    // The panel may cover the banner: it shows the failure itself.
    if (!wasLost) panel.read()
  } else if (wasLost) {
    notify("Connected again.")
    panel.read()
  }
  // Without events the list shows what is new only when it is read.
  if (state.kind === "polling") {
    table.refresh()
    panel.refresh()
  }
  wasLost = state.kind === "lost"
}

connect({
  onState: showState,
  onMetrics: (metrics) => {
    alarms.show(metrics)
    failed.show(metrics?.orders_failed)
    if (metrics === undefined) return
    figures.show(metrics)
    fleet.read()
    chart.add(metrics)
    samples.show(metrics)
  },
  onReadiness: (reason) => {
    figures.showReadiness(reason)
    alarms.showReadiness(reason)
  },
  onEvent: (event) => {
    table.event(event)
    panel.event(event)
    failed.event(event)
  },
  onGap: () => {
    table.refresh()
    panel.refresh()
    failed.refresh()
  }
})
