/** The version of this package. */
import { packageRoot } from './package-root.ts'

/** As package.json has it. */
export const toolVersion = (): string => String(packageRoot()?.manifest.version ?? 'unknown')
