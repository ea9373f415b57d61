/** What the parser makes of a pipeline file: statements with the places of their parts, nothing looked up or replaced yet. */
import type { Span } from './source-text.js'

/** A word or a string as written, with its place. */
export interface Written extends Span {
  readonly value: string
}

export type JsonNode =
  | { readonly kind: 'text'; readonly value: string; readonly span: Span }
  | { readonly kind: 'literal'; readonly value: number | boolean | null; readonly span: Span }
  /** A variable outside of quotes: what it holds is read as JSON would be. */
  | { readonly kind: 'variable'; readonly span: Span }
  | { readonly kind: 'list'; readonly items: readonly JsonNode[]; readonly span: Span }
  | JsonObject

export interface JsonObject {
  readonly kind: 'object'
  readonly members: readonly { readonly key: Written; readonly value: JsonNode }[]
  readonly span: Span
}

/** SQL as it stands in the file, and the places of the variables in it. */
export interface SqlText extends Span {
  readonly references: readonly SqlReference[]
}

export interface SqlReference extends Span {
  /** What the variable stands in: nothing, a string, or a quoted name. */
  readonly within: 'bare' | 'string' | 'name'
}

export type WriteMode =
  | { readonly kind: 'replace' }
  | { readonly kind: 'append' }
  | { readonly kind: 'upsert'; readonly keys: readonly Written[] }
  | {
      readonly kind: 'incremental'
      readonly by: Written
      readonly lookback: Written | null
      readonly span: Span
    }

export type Operand =
  | { readonly kind: 'text'; readonly value: string; readonly span: Span }
  | { readonly kind: 'literal'; readonly value: number | boolean | null }
  | { readonly kind: 'variable'; readonly span: Span }

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>='

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly inner: Condition }
  | {
      readonly kind: 'comparison'
      readonly operator: Comparison
      readonly left: Operand
      readonly right: Operand
    }
  | { readonly kind: 'operand'; readonly operand: Operand; readonly span: Span }

export type Statement =
  | SourceStatement
  | LoadStatement
  | CreateStatement
  | ExportStatement
  | IncludeStatement
  | SetStatement
  | IfStatement

export interface SourceStatement {
  readonly kind: 'source'
  readonly span: Span
  readonly name: Written
  /** `type` and PARAMS, or a configured connection by name and OPTIONS. */
  readonly definition:
    | { readonly kind: 'inline'; readonly type: Written; readonly params: JsonObject }
    | { readonly kind: 'connection'; readonly connection: Written; readonly options: JsonObject | null }
}

export interface LoadStatement {
  readonly kind: 'load'
  readonly span: Span
  readonly table: Written
  readonly source: Written
  /** Null where none is stated. */
  readonly mode: Exclude<WriteMode, { kind: 'incremental' }> | null
}

export interface CreateStatement {
  readonly kind: 'create'
  readonly span: Span
  readonly table: Written
  readonly orReplace: boolean
  readonly mode: WriteMode
  readonly sql: SqlText
}

export interface ExportStatement {
  readonly kind: 'export'
  readonly span: Span
  readonly what:
    { readonly kind: 'query'; readonly sql: SqlText } | { readonly kind: 'table'; readonly table: Written }
  readonly uri: Written
  readonly type: Written
  readonly options: JsonObject | null
}

export interface IncludeStatement {
  readonly kind: 'include'
  readonly span: Span
  readonly path: Written
  readonly alias: Written
}

export interface SetStatement {
  readonly kind: 'set'
  readonly span: Span
  readonly name: Written
  /** Quotes stripped. */
  readonly value: Written
}

export interface IfStatement {
  readonly kind: 'if'
  readonly span: Span
  readonly branches: readonly { readonly condition: Condition; readonly body: readonly Statement[] }[]
  readonly otherwise: readonly Statement[]
}
