/** The compiler's errors for code that uses the installed package. */
import { join, relative } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../architecture/cruise.ts';

/**
 * The compiler's errors for these files and for the package's own declarations, as strict as for this tree; errors in
 * other packages are left out.
 */
export function complaintsIn(folder: string, files: readonly string[]): readonly string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const asInstalled = { ...config.compilerOptions, customConditions: [], skipLibCheck: false };
  const { options } = ts.convertCompilerOptionsFromJson(asInstalled, folder);
  const host = { ...ts.createCompilerHost(options), getCurrentDirectory: () => folder };
  const compiled = ts.createProgram({ rootNames: files.map((file) => join(folder, file)), options, host });
  const isOurs = ({ fileName }: ts.SourceFile): boolean => fileName.startsWith(folder) && !/node_modules\/(?!agentcom\/)/.test(fileName);
  const ours = compiled.getSourceFiles().filter(isOurs);
  return ours
    .flatMap((file) => [...compiled.getSyntacticDiagnostics(file), ...compiled.getSemanticDiagnostics(file)])
    .map(({ file, messageText }) => `${relative(folder, file?.fileName ?? '')}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
    .sort();
}
