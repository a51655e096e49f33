import { hash, randomInt } from "node:crypto"

const prefix = "ord_"
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
const length = 32

/** A new key: 190 bits of chance, so that nothing but its hash need be kept, and no salt. */
export const randomKey = () => prefix + Array.from({ length }, () => letters[randomInt(letters.length)]).join("")

/** Whether a text can be a key at all. Shorter ones would be guessed. */
export const isKey = (text: string) => /^ord_[A-Za-z0-9_-]{32,128}$/.test(text)

/** What is kept of a key, in hexadecimal digits. */
export const hashOf = (key: string) => hash("sha256", key, "hex")
