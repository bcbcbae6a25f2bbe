/** Files that a command reads. */
import { standardInput } from '../report/checked-file.ts'

/** A file's path: `-` stands for standard input. */
export const inputFile = (name: string): string => (name === '-' ? standardInput : name)
