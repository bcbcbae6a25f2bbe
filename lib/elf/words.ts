/** `1 byte`, `2 bytes`. */
export const plural = (count: number | bigint, one: string): string =>
  `${count} ${one}${count === 1 || count === 1n ? '' : 's'}`
