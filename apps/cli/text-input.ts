/** Text that a command is given in a file or on standard input. Both must be UTF-8: decoding anything else would change it silently. */
import { isUtf8 } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { AgentcomError, fileReasonOf } from '../../core/errors/agentcom-error.ts';
import type { CliEnvironment } from './cli-environment.ts';

/** A byte order mark is kept. `bytesMax`: a larger file is refused. Fails with `AC_USAGE`. */
export async function readTextFile({ cwd }: CliEnvironment, file: string, bytesMax = Infinity): Promise<string> {
  const path = resolve(cwd, file);
  return decoded(path, await readBytes(path, bytesMax));
}

/** A byte order mark is dropped. Fails with `AC_USAGE`. */
export async function readStandardInput({ stdin }: CliEnvironment): Promise<string> {
  const bytes = await buffer(stdin).catch((thrown: unknown) => {
    throw unreadable('standard input', thrown);
  });
  return decoded('Standard input', bytes).replace(/^\uFEFF/, '');
}

/** Null: it is not UTF-8. A byte order mark is kept. */
export const utf8Text = (bytes: Buffer): string | null => (isUtf8(bytes) ? bytes.toString('utf8') : null);

function decoded(name: string, bytes: Buffer): string {
  const text = utf8Text(bytes);
  if (text !== null) return text;
  throw new AgentcomError('AC_USAGE', `${name} is not UTF-8. Convert it, for example with iconv.`);
}

async function readBytes(path: string, bytesMax: number): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw new Error(`it has ${size} bytes, more than ${bytesMax}; split it`);
    return await readFile(path);
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
}

const unreadable = (name: string, thrown: unknown): AgentcomError =>
  new AgentcomError('AC_USAGE', `Cannot read ${name}: ${fileReasonOf(thrown)}.`, { cause: thrown });
