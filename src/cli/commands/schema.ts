/** `trunkline schema`: the JSON Schemas that editors and programs check files and events by. */
import { toJsonSchema } from '../../config/file-schema.js'
import { eventJsonSchema } from '../event-schema.js'
import { EXIT } from '../exit-code.js'
import type { Terminal } from '../terminal.js'

export async function runSchemaCommand(terminal: Terminal, args: readonly string[]): Promise<number> {
  const schema = args[0] === 'events' ? eventJsonSchema() : toJsonSchema()
  await terminal.out(`${JSON.stringify(schema, null, 2)}\n`)
  return EXIT.done
}
