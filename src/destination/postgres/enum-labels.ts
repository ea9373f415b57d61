/**
 * Labels that an enum got at the source after its columns were landed. The target's type of the same name gets them, too, where the role
 * owns it: rows that have them could not land otherwise.
 */
import type { Connection } from '../../postgres/connection.js'
import { quoteLiteral, quoteQualified } from '../../postgres/quote.js'
import type { StreamOrigin } from '../contract.js'
import type { PresentTable } from './target-table.js'
import type { KnownType } from './target-types.js'

/** Inside the caller's transaction; nothing can use the labels before it is committed. True: there were any. */
export async function addEnumLabels(
  connection: Connection,
  origin: StreamOrigin | undefined,
  { present, types }: { readonly present: PresentTable | null; readonly types: readonly KnownType[] },
): Promise<boolean> {
  const statements = new Set<string>()
  for (const [name, { typeKind, typeSchema, typeName, sqlType, labels }] of origin?.columns ?? []) {
    // An enum of the same name that no column of ours has may be another one.
    if (typeKind !== 'enum' || labels === null || present?.columns.get(name)?.sqlType !== sqlType) continue
    const known = types.find((type) => type.schema === typeSchema && type.name === typeName)
    if (known?.kind !== 'e' || !known.mayChange) continue
    for (const sql of formatNewLabels(known, labels)) statements.add(sql)
  }
  if (statements.size > 0) await connection.execute([...statements].join('; '))
  return statements.size > 0
}

/** Each beside the label that it follows at the source, so that they are ordered as there. */
export function formatNewLabels(
  { schema, name, labels: present }: Pick<KnownType, 'schema' | 'name' | 'labels'>,
  labels: readonly string[],
): readonly string[] {
  const first = present[0]
  return labels.flatMap((label, index) => {
    if (present.includes(label)) return []
    const before = labels[index - 1]
    const place =
      before !== undefined
        ? ` AFTER ${quoteLiteral(before)}`
        : first === undefined
          ? ''
          : ` BEFORE ${quoteLiteral(first)}`
    return [
      `ALTER TYPE ${quoteQualified(schema, name)} ADD VALUE IF NOT EXISTS ${quoteLiteral(label)}${place}`,
    ]
  })
}
