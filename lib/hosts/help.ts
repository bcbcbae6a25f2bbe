/** Words for the help of commands that take a host: loaded with every command, so alone. */

/** What a HOST can be, for the help of a command. */
export const hostHelp = `HOST is "this" for this host, a name of the catalogue (sigframe cpus lists
them), or a file: results of sigframe run (json), what sigframe info --json
printed, or a CPU in the catalogue's format. Where a file is called as a CPU of
the catalogue is, the catalogue's is meant: ./NAME is the file.`
