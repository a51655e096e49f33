import { DateTime, Option, Predicate, Schema } from "effect"
import { Status } from "../order/Order.ts"

/** What columns hold, where the service has written them: rows of nothing else need no schema, which costs several times as much. */
export const isStatus = Schema.is(Status)
export const isInteger = (value: unknown): value is number => Number.isSafeInteger(value)

/** The furthest that a date can be from 1970, in milliseconds. */
const furthest = 8.64e15
export const isTime = (value: unknown): value is number => isInteger(value) && Math.abs(value) <= furthest
export const isOptionalTime = Predicate.or(Predicate.isNull, isTime)
export const optionalTime = (value: number | null) => Option.map(Option.fromNullable(value), DateTime.unsafeMake)
