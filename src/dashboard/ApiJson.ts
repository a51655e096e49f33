import type { FailuresByCode, KeyInfo, NodeList, OrderHistory, OrderList, ServiceMetrics } from "../api/Answers.ts"
import type { Order } from "../order/Order.ts"

export type CallerJson = typeof KeyInfo.Encoded
export type OrderJson = typeof Order.json.Encoded
export type MetricsJson = typeof ServiceMetrics.Encoded
export type NodeJson = (typeof NodeList.Encoded)["nodes"][number]
export type FailuresJson = typeof FailuresByCode.Encoded
export type FailureJson = FailuresJson["failures"][number]
export type ListJson = typeof OrderList.Encoded
export type HistoryJson = typeof OrderHistory.Encoded
export type ChangeJson = HistoryJson["changes"][number]
