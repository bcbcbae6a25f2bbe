/** Whether commands that examples show are such as the program has. */
import { createProgram } from '../../lib/cli/program.ts'

/** The words behind the program in each line that calls it, up to what a shell does with the rest. */
export const callsIn = (script: string, program: RegExp): readonly (readonly string[])[] =>
  script
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter(line => !/^\s*#/.test(line))
    .flatMap(line => {
      const found = program.exec(line)
      if (found === null) return []
      const rest = line.slice(found.index + found[0].length).replace(/\s(\|\||[|>#&;]).*$/, '')
      return [rest.trim().split(/\s+/)]
    })

/** What of a call the program does not have. */
export const unknownIn = ([name = '', ...words]: readonly string[]): readonly string[] => {
  const command = createProgram().commands.find(one => one.name() === name)
  if (command === undefined) return [name]
  const options = command.options.flatMap(({ short, long }) => [short, long])
  return words.filter(word => /^--?[a-z]/.test(word) && !options.includes(word))
}
