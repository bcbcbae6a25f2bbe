/** Options that are numbers. */
import { InvalidArgumentError } from 'commander'

/** @throws InvalidArgumentError that names the limits */
export const numberIn =
  (least: number, most: number, isWhole: boolean) =>
  (text: string): number => {
    const value = Number(text)
    const fits = text.trim() !== '' && value >= least && value <= most
    if (fits && (!isWhole || Number.isInteger(value))) return value
    throw new InvalidArgumentError(`It must be ${isWhole ? 'an integer' : 'a number'} in ${least}..${most}.`)
  }
