/**
 * From the text of a pipeline file to its steps. Pure: other files are read by the loader that is handed in, and variables are what
 * is handed in. Whatever can be found wrong without a database is found here, all of it at once.
 */
import { formatStreamName } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { DEFAULT_ADAPTIVE } from '../model/thresholds.js'
import { evaluate } from './condition.js'
import { checkExportPath, readExportFormat, readExportOptions } from './export-options.js'
import { resolveParameters, type JsonValue, type Parameters } from './parameters.js'
import { parsePipeline } from './parser.js'
import { failure, ProblemList } from './pipeline-error.js'
import { PIPELINE_SCHEMA, type ExportStep, type LoadStep, type Pipeline, type Step } from './pipeline.js'
import { readSourceParameters, type SourceSettings } from './source-parameters.js'
import { formatPlace, type SourceText, type Span } from './source-text.js'
import { renderSql, type RenderedSql } from './sql-text.js'
import type {
  CreateStatement,
  ExportStatement,
  IncludeStatement,
  LoadStatement,
  SourceStatement,
  Statement,
  Written,
} from './syntax.js'
import { substitute, type VariableLayers } from './variables.js'

/** What `SOURCE … FROM "name"` finds under a name. */
export type Connector =
  /** A connection that whoever runs the pipeline knows how to open. */
  | { readonly kind: 'connection' }
  /** Parameters of a profile; OPTIONS are laid over them. */
  | {
      readonly kind: 'parameters'
      readonly type: string
      readonly params: Readonly<Record<string, JsonValue>>
    }

export interface CompileOptions {
  /** Of the pipeline: part of the identity of what it loads. */
  readonly name: string
  /** `--var`. */
  readonly variables: Readonly<Record<string, string>>
  readonly profileVariables?: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly connectors: ReadonlyMap<string, Connector>
  /** Reads an included file; `from` is the including one. @throws TrunklineError where it cannot be read */
  readonly include: (path: string, from: SourceText) => SourceText
  readonly adopt?: boolean
  readonly allowPrivilegedRole?: boolean
}

const RESERVED = '_trunkline'
const MAX_INCLUDES = 1000

/** @throws PipelineError with everything that is wrong */
export function compilePipeline(source: SourceText, options: CompileOptions): Pipeline {
  return new Compiler(options).compile(source)
}

class Compiler {
  readonly #options: CompileOptions
  readonly #problems = new ProblemList()
  readonly #assigned = new Map<string, string>()
  readonly #layers: VariableLayers
  /** By name; `settings` is null for one that is defined and wrong. */
  readonly #sources = new Map<string, { readonly name: Written; settings: SourceSettings | null }>()
  readonly #loads: { readonly statement: LoadStatement; readonly at: number }[] = []
  /** By folded name, the statement that makes the table. */
  readonly #tables = new Map<string, { readonly kind: 'load' | 'create'; readonly span: Span }>()
  readonly #aliases = new Map<string, Span>()
  readonly #steps: (Step | null)[] = []
  readonly #warnings: Pipeline['warnings'][number][] = []
  #includes = 0

  constructor(options: CompileOptions) {
    this.#options = options
    this.#layers = {
      given: options.variables,
      profile: options.profileVariables ?? {},
      assigned: this.#assigned,
      environment: options.environment,
    }
  }

  compile(source: SourceText): Pipeline {
    this.#problems.attempt(() => {
      this.#runAll(parsePipeline(source), [source.file])
    })
    // A source may stand below what is loaded from it.
    for (const { statement, at } of this.#loads) {
      this.#steps[at] = this.#problems.attempt(() => this.#toLoadStep(statement))
    }
    this.#problems.assertNone()
    return {
      name: this.#options.name,
      sources: [...this.#sources.values()].flatMap(({ settings }) =>
        settings === null ? [] : [settings.source],
      ),
      steps: this.#steps.filter((step) => step !== null),
      warnings: this.#warnings,
    }
  }

  #runAll(statements: readonly Statement[], files: readonly string[]): void {
    for (const statement of statements) {
      this.#problems.attempt(() => {
        this.#run(statement, files)
      })
    }
  }

  #run(statement: Statement, files: readonly string[]): void {
    switch (statement.kind) {
      case 'source':
        this.#addSource(statement)
        break
      case 'load':
        this.#claimTable(statement.table, statement)
        this.#loads.push({ statement, at: this.#steps.push(null) - 1 })
        break
      case 'create':
        this.#addCreate(statement)
        break
      case 'export':
        this.#steps.push(this.#toExportStep(statement))
        break
      case 'include':
        this.#include(statement, files)
        break
      case 'set':
        this.#assigned.set(
          statement.name.value,
          substitute(statement.value.value, this.#layers, statement.value),
        )
        break
      case 'if': {
        const taken = statement.branches.find(({ condition }) => evaluate(condition, this.#layers))
        this.#runAll(taken?.body ?? statement.otherwise, files)
      }
    }
  }

  #addSource(statement: SourceStatement): void {
    const { name, definition } = statement
    const before = this.#sources.get(name.value)
    if (before !== undefined) {
      throw failure(name, `The source ${name.value} is defined twice.`, {
        hint: `It is defined at ${formatPlace(before.name)}, too.`,
      })
    }
    // Whatever is wrong with it, it is defined: what is loaded from it need not be told of as well.
    const entry = { name, settings: null as SourceSettings | null }
    this.#sources.set(name.value, entry)
    entry.settings =
      definition.kind === 'inline'
        ? this.#readSource(name, definition.type, null, resolveParameters(definition.params, this.#layers))
        : this.#readConnected(
            name,
            definition.connection,
            resolveParameters(definition.options, this.#layers),
          )
  }

  #readConnected(name: Written, connection: Written, options: Parameters): SourceSettings {
    const { connectors } = this.#options
    const wanted = substitute(connection.value, this.#layers, connection)
    const connector = connectors.get(wanted)
    if (connector === undefined) {
      throw failure(connection, `There is no connection named ${JSON.stringify(wanted)}.`, {
        hint:
          connectors.size === 0
            ? 'Connections are looked for in trunkline.yaml, or write TYPE POSTGRES PARAMS { … }.'
            : `There is: ${[...connectors.keys()].join(', ')}.`,
      })
    }
    if (connector.kind === 'connection') return this.#readSource(name, null, wanted, options)
    const params = Object.entries(connector.params).map(
      ([key, value]) => [key, { value, span: connection }] as const,
    )
    const type = { ...connection, value: connector.type }
    return this.#readSource(name, type, null, new Map([...params, ...options]))
  }

  #readSource(
    name: Written,
    type: Written | null,
    connection: string | null,
    parameters: Parameters,
  ): SourceSettings {
    if (type !== null && !['postgres', 'postgresql'].includes(type.value.toLowerCase())) {
      throw failure(type, `SOURCE of TYPE ${type.value} is not available in this version.`, {
        code: 'CONFIG_UNSUPPORTED',
        hint: "Sources are of TYPE POSTGRES. SQL reads files by itself: CREATE TABLE t AS SELECT * FROM read_csv('data.csv');",
      })
    }
    const { source, start, end } = name
    return readSourceParameters({ name: name.value, span: { source, start, end }, connection, parameters })
  }

  #claimTable(table: Written, statement: LoadStatement | CreateStatement): void {
    if (table.value.toLowerCase().startsWith(RESERVED)) {
      throw failure(table, `Names that begin with ${RESERVED} are reserved.`)
    }
    const key = table.value.toLowerCase()
    const before = this.#tables.get(key)
    this.#tables.set(key, { kind: statement.kind, span: statement.span })
    if (before === undefined) return
    const again =
      statement.kind === 'create' &&
      before.kind === 'create' &&
      (statement.orReplace || statement.mode.kind !== 'replace')
    if (again) return
    throw failure(table, `The table ${table.value} is made twice.`, {
      hint: `It is made at ${formatPlace(before.span)}, too. ${
        statement.kind === 'load'
          ? 'Load into two tables, and put them together with CREATE TABLE … AS SELECT … UNION ALL.'
          : 'Give one of the two another name, or write CREATE OR REPLACE TABLE.'
      }`,
    })
  }

  #toLoadStep({ table, source: wanted, mode: stated, span }: LoadStatement): LoadStep | null {
    const entry = this.#sources.get(wanted.value)
    if (entry === undefined) {
      const names = [...this.#sources.keys()].join(', ')
      throw failure(wanted, `There is no source named ${wanted.value}.`, {
        hint: names === '' ? 'Define it: SOURCE name TYPE POSTGRES PARAMS { … };' : `There is: ${names}.`,
      })
    }
    const { settings } = entry
    if (settings === null) return null
    const { source, primaryKey } = settings
    if (source.reads === null) {
      throw failure(wanted, `The source ${source.name} says neither table nor query.`, {
        hint: `Add "table" or "query" to it at ${formatPlace(source.span)}.`,
      })
    }
    const mode = stated?.kind ?? settings.defaultMode ?? 'replace'
    const keys = stated?.kind === 'upsert' ? stated.keys.map((key) => key.value) : primaryKey
    const byCursor = source.syncMode === 'incremental' && source.cursorField !== null && mode !== 'replace'
    if (source.syncMode === 'incremental' && mode === 'replace') {
      this.#warnings.push({
        span,
        message: 'MODE REPLACE reads everything each run, whatever sync_mode says.',
      })
    }
    const stream: StreamOptions = {
      mode: byCursor ? 'incremental' : 'full_refresh',
      landing: mode,
      batchSize: settings.batchSize,
      ...(settings.typeProfile === null ? {} : { typeProfile: settings.typeProfile }),
      ...(byCursor ? { cursorField: source.cursorField } : {}),
      ...(mode === 'upsert' && keys !== null ? { primaryKey: keys } : {}),
      ...(mode === 'upsert' ? { deletes: 'ignore' } : {}),
    }
    return {
      kind: 'load',
      span,
      table: table.value,
      source,
      mode,
      spec: this.#toSpec(table.value, settings, stream),
    }
  }

  #toSpec(table: string, { source, limits }: SourceSettings, stream: StreamOptions): SyncSpec {
    const { reads, schema } = source
    const isQuery = reads?.kind === 'query'
    const name = reads?.kind === 'table' ? formatStreamName(schema, reads.table) : table
    return {
      name: `${this.#options.name}.${source.name}.${table}`,
      selection: isQuery ? { select: [], exclude: ['*'] } : { select: [name], exclude: [] },
      defaults: {},
      streams: { [name]: isQuery ? { ...stream, sql: reads.sql } : stream },
      limits,
      targetSchema: PIPELINE_SCHEMA,
      nameTemplate: table,
      adopt: this.#options.adopt ?? false,
      allowMassDelete: false,
      allowPrivilegedRole: this.#options.allowPrivilegedRole ?? false,
      acceptNewSource: false,
      jobs: null,
      verify: false,
      adaptive: DEFAULT_ADAPTIVE,
      rowFilter: {},
      metadataTables: false,
      wording: 'native',
    }
  }

  #addCreate(statement: CreateStatement): void {
    const { table, mode, span } = statement
    this.#claimTable(table, statement)
    if (mode.kind === 'incremental') {
      throw failure(mode.span, 'CREATE TABLE with MODE INCREMENTAL is not available in this version.', {
        code: 'CONFIG_UNSUPPORTED',
        hint: 'Use MODE UPSERT KEY (…) with a condition on the time column, or MODE REPLACE.',
      })
    }
    this.#steps.push({
      kind: 'create',
      span,
      table: table.value,
      mode: mode.kind,
      keys: mode.kind === 'upsert' ? mode.keys.map((key) => key.value) : [],
      sql: renderSql(statement.sql, this.#layers),
    })
  }

  #toExportStep({ what, uri, type, options, span }: ExportStatement): ExportStep {
    const format = readExportFormat(type)
    return {
      kind: 'export',
      span,
      sql: what.kind === 'query' ? renderSql(what.sql, this.#layers) : selectAll(what.table),
      path: checkExportPath(uri, substitute(uri.value, this.#layers, uri)),
      format,
      options: readExportOptions(format, resolveParameters(options, this.#layers)),
    }
  }

  #include({ path, alias }: IncludeStatement, files: readonly string[]): void {
    const before = this.#aliases.get(alias.value)
    if (before !== undefined) {
      throw failure(alias, `The alias ${alias.value} is given twice.`, {
        hint: `It is given at ${formatPlace(before)}, too.`,
      })
    }
    this.#aliases.set(alias.value, alias)
    const wanted = substitute(path.value, this.#layers, path)
    if (!wanted.toLowerCase().endsWith('.sf')) {
      throw failure(path, `INCLUDE takes pipeline files, which end in .sf.`, { code: 'CONFIG_UNSUPPORTED' })
    }
    if (++this.#includes > MAX_INCLUDES) throw failure(path, 'Too many files are included.')
    const included = this.#load(wanted, path)
    if (files.includes(included.file)) {
      throw failure(path, `${included.file} includes itself.`, {
        hint: [...files, included.file].join(' → '),
      })
    }
    this.#runAll(parsePipeline(included), [...files, included.file])
  }

  #load(wanted: string, path: Written): SourceText {
    try {
      return this.#options.include(wanted, path.source)
    } catch (error) {
      if (!(error instanceof TrunklineError)) throw error
      throw failure(path, error.message, {
        code: error.code,
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      })
    }
  }
}

function selectAll({ value, source, start, end }: Written): RenderedSql {
  const span = { source, start, end }
  const before = 'SELECT * FROM "'
  return {
    text: `${before}${value}"`,
    span,
    pieces: [
      { at: 0, span: { source, start, end: start } },
      { at: before.length, span },
    ],
  }
}
