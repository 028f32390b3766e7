/** Part of `npm run build`: removes from `dist` the declarations that no entry of the package refers to (four fifths of the files). */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../architecture/cruise.ts';

const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Readonly<Record<string, { readonly types?: string }>>;
};
const entries = Object.values(exports).flatMap(({ types }) => (types === undefined ? [] : [join(ROOT, types)]));
const program = ts.createProgram(entries, {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  skipLibCheck: true,
  noEmit: true,
});
const missing = entries.filter((entry) => program.getSourceFile(entry) === undefined);
if (missing.length > 0) throw new Error(`package.json names declarations that were not built: ${missing.join(', ')}`);

const used = new Set(program.getSourceFiles().map(({ fileName }) => fileName));
const dist = join(ROOT, 'dist');
for (const { parentPath, name } of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  const path = join(parentPath, name);
  // The compiler names files with forward slashes on every platform.
  if (name.endsWith('.d.ts') && !used.has(path.replaceAll('\\', '/'))) rmSync(path);
}
