/** The compiled files that this package runs on: for who takes them to another machine. */
export { nativeFiles } from '../native.ts'
