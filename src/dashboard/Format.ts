const whole = new Intl.NumberFormat("en")
const oneDigit = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 })
const plainAmount = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 })
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
const inFull = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" })

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

/** The time of day, with the date where it is not today. */
export const time = (iso: string) => {
  const date = new Date(iso)
  return (date.toDateString() === new Date().toDateString() ? timeOfDay : withDay).format(date)
}

export const fullTime = (iso: string) => inFull.format(new Date(iso))

export const amount = (value: number, currency: string | null) =>
  currency === null ? plainAmount.format(value) : `${plainAmount.format(value)} ${currency}`
