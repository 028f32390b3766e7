/** What went wrong while a config file was evaluated, with its place in the file and without a stack. */
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { PACKAGE_ROOT } from '../package-root.ts';

/** The error to end with: our own coded errors as they are, anything else as `AC_CONFIG_INVALID` with file and line. */
export function evaluationError(file: string, thrown: unknown): AgentcomError {
  if (AgentcomError.is(thrown)) return thrown;
  const place = placeIn(file, thrown);
  const { found, hint } = whatHappened(file, thrown, place);
  const isInConfig = place === null || place.file === file;
  const where = isInConfig ? `${textOf(place) ?? file} cannot be loaded: ` : `${file} cannot be loaded: ${textOf(place)}: `;
  return new AgentcomError('AC_CONFIG_INVALID', `The config ${where}${found}`, {
    cause: thrown,
    hint,
    details: { file, place: textOf(place) },
  });
}

interface Place {
  readonly file: string;
  /** `line`, or `line:column` for a syntax error. The columns in a stack are those of the compiled text. */
  readonly position: string;
}

const textOf = (place: Place | null): string | null => (place === null ? null : `${place.file}:${place.position}`);

/** Our own code; the folder above it may hold a config. */
const OWN = ['apps', 'adapters', 'core', 'plugins', 'dist'].map((name) => join(PACKAGE_ROOT, name, '/'));

/** From a frame in this folder on, a stack shows only what loaded the config. In the build, that is all in `dist`. */
const LOADER = join(PACKAGE_ROOT, 'apps/config/');

/** From jiti's own message for a syntax error, otherwise from the first line of the stack that is in the config or in a file that it imports. */
function placeIn(file: string, thrown: unknown): Place | null {
  for (const line of linesOf(thrown)) {
    const [, at = '', row, column] = /(?:^|[\s(])((?:[A-Za-z]:[\\/]|\/).*?):(\d+)(?::(\d+))?\)?$/.exec(line.replace('file://', '')) ?? [];
    if (at.startsWith(LOADER)) return null;
    const isOurs = /[\\/]node_modules[\\/]/.test(at) || OWN.some((folder) => at.startsWith(folder));
    if (row === undefined || (isOurs && at !== file)) continue;
    return { file: at, position: isSyntaxError(messageOf(thrown)) && column !== undefined ? `${row}:${column}` : row };
  }
  return null;
}

/** The lines of an error's message and stack; none if one of them throws when read. */
function linesOf(thrown: unknown): readonly string[] {
  try {
    return thrown instanceof Error ? `${thrown.message}\n${thrown.stack ?? ''}`.split('\n') : [];
  } catch {
    return [];
  }
}

const SYNTAX = /^(?:ParseError|SyntaxError): (.*)$/;
const isSyntaxError = (message: string): boolean => SYNTAX.test(firstLine(message));
const firstLine = (text: string): string => text.split('\n')[0]?.trim() ?? '';

interface WhatHappened {
  readonly found: string;
  /** Undefined: only the author of the config knows. */
  readonly hint?: string;
}

function codeOf(thrown: unknown): unknown {
  try {
    return typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  } catch {
    return undefined; // A getter or proxy that throws.
  }
}

function whatHappened(file: string, thrown: unknown, place: Place | null): WhatHappened {
  const code = codeOf(thrown);
  // An import is compiled to `(0, _module.name)`.
  const first = firstLine(messageOf(thrown)).replace(/\(0 ?, \w+\.(\w+)\)/g, '$1');
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
    return { found: `${first}.`, hint: `Install it, or correct the import in ${file}.` };
  }
  const syntax = SYNTAX.exec(first);
  if (syntax !== null) return { found: `syntax error: ${syntax[1]?.trim() ?? first}.` };
  // Nothing that was thrown as a plain value has a place.
  if (typeof thrown !== 'object' || thrown === null) return { found: `it threw ${first}.` };
  // How jiti fails on it.
  if (place === null && first === "Cannot read properties of null (reading 'then')")
    return { found: 'its default export is null.', hint: 'Write: export default defineConfig({ … })' };
  return place === null
    ? { found: `${first}.`, hint: 'Its default export should be defineConfig({ … }).' }
    : { found: `it threw: ${first}.` };
}
