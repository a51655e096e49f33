/**
 * The client that an address stands for, as far as limits go: the address itself, and of IPv6 its network of 64 bits,
 * for a single machine has as many addresses in there as it likes (RFC 8981).
 */
export const clientOf = (address: string) => {
  const embedded = /^::ffff:([0-9.]+)$/i.exec(address)?.[1]
  if (embedded !== undefined) return embedded
  if (!address.includes(":")) return address
  const [before, after] = address.split("::").map((part) => part.split(":").filter((group) => group !== ""))
  const left = before ?? []
  const right = after ?? []
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0")
  return `${[...left, ...zeros, ...right].slice(0, 4).join(":")}::/64`
}
