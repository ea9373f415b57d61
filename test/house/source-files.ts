/** The sources as the house tests see them. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const projectFolder = fileURLToPath(new URL('../..', import.meta.url))

const skipped = new Set(['node_modules', 'dist', '.git', '.servers', '.bench', 'coverage'])

/** Paths relative to the project, with `/`, of the files below a folder (`''`: all that the project holds). */
export function listFiles(folder: string): string[] {
  const found: string[] = []
  const visit = (path: string): void => {
    for (const entry of readdirSync(join(projectFolder, path), { withFileTypes: true })) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.isDirectory() && !skipped.has(entry.name)) visit(child)
      else if (entry.isFile()) found.push(child)
    }
  }
  visit(folder)
  return found.sort()
}

export function readText(path: string): string {
  return readFileSync(join(projectFolder, path), 'utf8')
}

/** How a module is imported: `type` leaves no trace at run time, `lazy` is `import()` or, in a function, `require()`, at the first use. */
export interface ModuleImport {
  readonly kind: 'static' | 'type' | 'lazy'
  readonly specifier: string
}

/** Every import, export-from, `import()`, `require()` and `import()` type of a source, read by the compiler's parser. */
export function readImports(path: string, text: string): ModuleImport[] {
  const found: ModuleImport[] = []
  const add = (kind: ModuleImport['kind'], specifier: ts.Node | undefined): void => {
    if (specifier && ts.isStringLiteralLike(specifier)) found.push({ kind, specifier: specifier.text })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(importsOnlyTypes(node.importClause) ? 'type' : 'static', node.moduleSpecifier)
    } else if (ts.isExportDeclaration(node)) {
      const named =
        node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : []
      const onlyTypes = node.isTypeOnly || (named.length > 0 && named.every((element) => element.isTypeOnly))
      add(onlyTypes ? 'type' : 'static', node.moduleSpecifier)
    } else if (ts.isImportTypeNode(node)) {
      if (ts.isLiteralTypeNode(node.argument)) add('type', node.argument.literal)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add('lazy', node.arguments[0])
    } else if (
      ts.isCallExpression(node) &&
      ts.isIdentifier(node.expression) &&
      node.expression.text === 'require'
    ) {
      add(ts.findAncestor(node, ts.isFunctionLike) ? 'lazy' : 'static', node.arguments[0])
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true))
  return found
}

function importsOnlyTypes(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const bindings = clause.namedBindings
  return (
    clause.name === undefined &&
    bindings !== undefined &&
    ts.isNamedImports(bindings) &&
    bindings.elements.length > 0 &&
    bindings.elements.every((element) => element.isTypeOnly)
  )
}
