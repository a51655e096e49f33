const whole = new Intl.NumberFormat("en")
const oneDigit = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 })
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })
const timeOfDay = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23"
})
const withDay = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23"
})
const withYear = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" })
const toTheSecond = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23"
})
const inFull = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" })

/** Of millions the first digits. */
export const roughly = (value: number) => (value < 1e6 ? whole : compact).format(value)

export const count = (value: number) => whole.format(value)

export const orders = (value: number) => (value === 1 ? "1 order" : `${count(value)} orders`)

export const rate = (perSecond: number) =>
  perSecond >= 100 ? whole.format(Math.round(perSecond)) : oneDigit.format(perSecond)

/** Seconds, as short as they can be read. */
export const duration = (seconds: number) => {
  if (seconds === 0) return "0"
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`
  if (seconds < 100) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`
  const rounded = Math.round(seconds)
  if (rounded < 6000) return `${Math.floor(rounded / 60)} min ${rounded % 60} s`
  if (seconds < 360_000) return `${(seconds / 3600).toFixed(1)} h`
  return `${(seconds / 86_400).toFixed(1)} days`
}

export const between = (from: string, to: string) => duration(Math.max(0, Date.parse(to) - Date.parse(from)) / 1000)

const isToday = (date: Date, now: Date) => date.toDateString() === now.toDateString()

/** The time of day, the day and the time, or the day and the year: as much as it differs from now. */
export const time = (iso: string, now = new Date()) => {
  const date = new Date(iso)
  if (isToday(date, now)) return timeOfDay.format(date)
  return (date.getFullYear() === now.getFullYear() ? withDay : withYear).format(date)
}

/** To the second, with the date where it is not today. */
export const moment = (iso: string, now = new Date()) => {
  const date = new Date(iso)
  return (isToday(date, now) ? timeOfDay : toTheSecond).format(date)
}

export const fullTime = (iso: string) => inFull.format(new Date(iso))

/** The decimals that a currency has by ISO 4217; two without a currency, and for an unknown one. */
const decimalsOf = (currency: string | null) =>
  currency === null
    ? 2
    : new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits

const amounts = new Map<string | null, Intl.NumberFormat>()

/** With the decimals of its currency, and further ones where the amount has them: it has four at most. */
export const amount = (value: number, currency: string | null) => {
  const known = amounts.get(currency)
  const format =
    known ?? new Intl.NumberFormat("en", { minimumFractionDigits: decimalsOf(currency) ?? 2, maximumFractionDigits: 4 })
  if (known === undefined) amounts.set(currency, format)
  return currency === null ? format.format(value) : `${format.format(value)} ${currency}`
}
