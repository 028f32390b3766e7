/** What went wrong while a config file was evaluated, with its place in the file and without a stack. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

/** The error to end with: our own coded errors as they are, anything else as `AC_CONFIG_INVALID` with file and line. */
export function evaluationError(file: string, thrown: unknown): AgentcomError {
  if (AgentcomError.is(thrown)) return thrown;
  const place = placeIn(file, thrown);
  const { found, cure } = whatHappened(file, thrown, place);
  return new AgentcomError('AC_CONFIG_INVALID', `The config ${place ?? file} cannot be loaded: ${found}`, {
    cause: thrown,
    cure,
    details: { file, place },
  });
}

/** `file:line:column`, from jiti's own message for a syntax error, else from the first line of the stack in the file. */
function placeIn(file: string, thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  const text = `${thrown.message}\n${thrown.stack ?? ''}`;
  const at = text.split(`${file}:`)[1];
  const position = at === undefined ? null : /^\d+(:\d+)?/.exec(at);
  return position === null ? null : `${file}:${position[0]}`;
}

interface WhatHappened {
  readonly found: string;
  /** Undefined: only the author of the config knows. */
  readonly cure?: string;
}

function whatHappened(file: string, thrown: unknown, place: string | null): WhatHappened {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  const first = messageOf(thrown).split('\n')[0]?.trim() ?? '';
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
    return { found: `${first}.`, cure: `Install it, or correct the import in ${file}.` };
  }
  const syntax = /^(?:ParseError|SyntaxError): (.*)$/.exec(first);
  if (syntax !== null) return { found: `syntax error: ${syntax[1]?.trim() ?? first}.` };
  return place === null
    ? { found: `${first}.`, cure: 'Its default export should be defineConfig({ … }).' }
    : { found: `it threw: ${first}.` };
}
